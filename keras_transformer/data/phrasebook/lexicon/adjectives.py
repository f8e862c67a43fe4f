"""Adjectives by the nouns they describe: `english[/comparative] french[/feminine]`."""

from keras_transformer.data.phrasebook.words import adjectives

OF_PEOPLE = adjectives("""
    tired        fatigué
    happy        heureux
    sad          triste
    sick         malade
    nice         gentil/gentille
    tall/taller  grand
    small/smaller petit
    young/younger jeune
    old/older    vieux/vieille
    rich/richer  riche
    poor/poorer  pauvre
    strong/stronger fort
    worried      inquiet/inquiète
    shy          timide
""")

_MOODS = ("tired", "happy", "sad", "sick", "worried")
MOODS = tuple(adjective for adjective in OF_PEOPLE if adjective.en in _MOODS)

COLORS = adjectives("""
    red    rouge
    blue   bleu
    green  vert
    white  blanc/blanche
    black  noir
    yellow jaune
    gray   gris
    brown  brun
""")

OF_THINGS = adjectives("""
    big/bigger     grand
    small/smaller  petit
    old/older      vieux/vieille
    heavy/heavier  lourd
    light/lighter  léger
    expensive/more_expensive cher
    beautiful/more_beautiful beau/belle
    clean          propre
    dirty          sale
    useful         utile
""")

OF_FOOD = adjectives("""
    good      bon/bonne
    delicious délicieux
    cold      froid
    fresh     frais/fraîche
""")

OF_TEXTS = adjectives("""
    long        long/longue
    short       court
    interesting intéressant
    difficult   difficile
    sad         triste
""")

OF_PLACES = adjectives("""
    beautiful beau/belle
    small     petit
    big       grand
    old       vieux/vieille
    clean     propre
    dirty     sale
    empty     vide
    quiet     calme
""")
