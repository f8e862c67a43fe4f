"""The vocabulary as tables: English, French, gender and irregular forms."""
