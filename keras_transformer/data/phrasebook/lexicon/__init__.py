"""The words, as plain tables: English, French, gender, and what is irregular."""
