"""Times, frequencies, numbers, positions and weather, as pairs of English and French."""

NUMBERS = (
    ("two", "deux"),
    ("three", "trois"),
    ("four", "quatre"),
    ("five", "cinq"),
    ("six", "six"),
    ("seven", "sept"),
    ("eight", "huit"),
    ("nine", "neuf"),
    ("ten", "dix"),
    ("twelve", "douze"),
    ("twenty", "vingt"),
)

TENS = (
    ("ten", "dix"),
    ("twenty", "vingt"),
    ("thirty", "trente"),
    ("forty", "quarante"),
    ("fifty", "cinquante"),
    ("sixty", "soixante"),
)

DAYS = (
    ("Monday", "lundi"),
    ("Tuesday", "mardi"),
    ("Wednesday", "mercredi"),
    ("Thursday", "jeudi"),
    ("Friday", "vendredi"),
    ("Saturday", "samedi"),
    ("Sunday", "dimanche"),
)

PAST_TIMES = (
    ("yesterday", "hier"),
    ("last night", "hier soir"),
    ("last week", "la semaine dernière"),
    ("last year", "l'année dernière"),
    *((f"last {en}", f"{fr} dernier") for en, fr in DAYS),
)

PRESENT_TIMES = (
    ("today", "aujourd'hui"),
    ("now", "maintenant"),
    ("this morning", "ce matin"),
    ("tonight", "ce soir"),
    ("this week", "cette semaine"),
)

FUTURE_TIMES = (
    ("tomorrow", "demain"),
    ("tonight", "ce soir"),
    ("tomorrow morning", "demain matin"),
    ("next week", "la semaine prochaine"),
    ("next year", "l'année prochaine"),
    *((f"next {en}", f"{fr} prochain") for en, fr in DAYS),
)

HABITS = (
    ("every day", "tous les jours"),
    ("every morning", "tous les matins"),
    ("every evening", "tous les soirs"),
    ("every week", "toutes les semaines"),
    *((f"on {en}s", f"le {fr}") for en, fr in DAYS),
)

FREQUENCIES = (
    ("always", "toujours"),
    ("often", "souvent"),
    ("sometimes", "parfois"),
    ("rarely", "rarement"),
)

ON = (("on", "sur"), ("under", "sous"), ("behind", "derrière"), ("near", "près de"))
NEAR = (("behind", "derrière"), ("near", "près de"))

# English present, past and future (infinitive), then the same in French.
WEATHER = (
    ("it is cold", "it was cold", "be cold", "il fait froid", "il faisait froid", "faire froid"),
    ("it is hot", "it was hot", "be hot", "il fait chaud", "il faisait chaud", "faire chaud"),
    ("it is raining", "it was raining", "rain", "il pleut", "il pleuvait", "pleuvoir"),
    ("it is snowing", "it was snowing", "snow", "il neige", "il neigeait", "neiger"),
    (
        *("it is windy", "it was windy", "be windy"),
        *("il y a de le vent", "il y avait de le vent", "y avoir de le vent"),
    ),
    ("it is fine", "it was fine", "be fine", "il fait beau", "il faisait beau", "faire beau"),
)

FEELINGS = (
    ("hungry", "faim"),
    ("thirsty", "soif"),
    ("sleepy", "sommeil"),
    ("right", "raison"),
    ("wrong", "tort"),
)

GREETINGS = (
    ("hello", "bonjour"),
    ("thanks", "merci"),
    ("good evening", "bonsoir"),
    ("goodbye", "au revoir"),
    ("good night", "bonne nuit"),
)

ADDRESSES = (
    ("sir", "monsieur"),
    ("madam", "madame"),
    ("doctor", "docteur"),
)

MEETINGS = (
    ("see you tomorrow", "à demain"),
    ("see you tonight", "à ce soir"),
    ("see you tomorrow morning", "à demain matin"),
    ("see you next week", "à la semaine prochaine"),
    ("see you next year", "à l'année prochaine"),
    *((f"see you on {en}", f"à {fr}") for en, fr in DAYS),
)

DEGREES = (("very", "très"), ("too", "trop"), ("really", "vraiment"), ("quite", "assez"))

QUANTITIES = (("many", "beaucoup"), ("few", "peu"))
