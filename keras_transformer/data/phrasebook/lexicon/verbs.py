"""Verbs: English base, past and participle; French infinitive, present and participle.

Regular forms are omitted. An action is a verb and the nouns that make sense as its object.
"""

from keras_transformer.data.phrasebook.lexicon.nouns import (
    ANIMALS,
    BAGS,
    BELONGINGS,
    BUILDINGS,
    CLOTHES,
    DRINKS,
    FOOD,
    FRUIT,
    FURNITURE,
    LANDSCAPE,
    OPENINGS,
    OUTDOORS,
    PICTURES,
    ROOMS,
    TEXTS,
    TRANSPORT,
    VEHICLES,
)
from keras_transformer.data.phrasebook.words import Noun, Verb, named, verb

EAT = verb("eat ate eaten", "manger")
DRINK = verb("drink drank drunk", "boire", "bois boit buvons buvez boivent", "bu")
BUY = verb("buy bought bought", "acheter", "achète achète achetons achetez achètent")
SELL = verb("sell sold sold", "vendre", "vends vend vendons vendez vendent", "vendu")
TRANSLATE = verb(
    "translate",
    "traduire",
    "traduis traduit traduisons traduisez traduisent",
    "traduit",
)
WRITE = verb("write wrote written", "écrire", "écris écrit écrivons écrivez écrivent", "écrit")
WATCH = verb("watch", "regarder")
WEAR = verb("wear wore worn", "porter")
WASH = verb("wash", "laver")
CLEAN = verb("clean", "nettoyer", "nettoie nettoie nettoyons nettoyez nettoient")
OPEN = verb("open", "ouvrir", "ouvre ouvre ouvrons ouvrez ouvrent", "ouvert")
CLOSE = verb("close", "fermer")
FIND = verb("find found found", "trouver")
LOSE = verb("lose lost lost", "perdre", "perds perd perdons perdez perdent", "perdu")
LOOK_FOR = verb("look_for", "chercher")
REPAIR = verb("repair", "réparer")
PAINT = verb("paint", "peindre", "peins peint peignons peignez peignent", "peint")
DRAW = verb("draw drew drawn", "dessiner")
SEE = verb("see saw seen", "voir", "vois voit voyons voyez voient", "vu")
FEED = verb(
    "feed fed fed", "nourrir", "nourris nourrit nourrissons nourrissez nourrissent", "nourri"
)
CHOOSE = verb(
    "choose chose chosen", "choisir", "choisis choisit choisissons choisissez choisissent", "choisi"
)
BRING = verb("bring brought brought", "apporter")
HIDE = verb("hide hid hidden", "cacher")
BREAK = verb("break broke broken", "casser")
VISIT = verb("visit", "visiter")
USE = verb("use", "utiliser")
TAKE = verb("take took taken", "prendre", "prends prend prenons prenez prennent", "pris")
PREPARE = verb("prepare", "préparer", "prépare prépare préparons préparez préparent")
GIVE = verb("give gave given", "donner")
SHOW = verb("show showed shown", "montrer")

LIKE = verb("like", "aimer")
PREFER = verb("prefer", "préférer", "préfère préfère préférons préférez préfèrent")
WANT = verb("want", "vouloir", "veux veut voulons voulez veulent", "voulu")
CAN = verb("can could could", "pouvoir", "peux peut pouvons pouvez peuvent", "pu")
MUST = verb("must", "devoir", "dois doit devons devez doivent", "dû")
THINK = verb("think thought thought", "penser")
SAY = verb("say said said", "dire", "dis dit disons dites disent", "dit")
KNOW = verb("know knew known", "savoir", "sais sait savons savez savent", "su")

CROSS = verb("cross", "traverser")
FOLLOW = verb("follow", "suivre", "suis suit suivons suivez suivent", "suivi")
CLIMB = verb("climb", "gravir", "gravis gravit gravissons gravissez gravissent", "gravi")
EXPLORE = verb("explore", "explorer")

SLEEP = verb("sleep slept slept", "dormir", "dors dort dormons dormez dorment", "dormi")
WORK = verb("work", "travailler")
SING = verb("sing sang sung", "chanter")
DANCE = verb("dance", "danser")
PLAY = verb("play", "jouer")
WALK = verb("walk", "marcher")
RUN = verb("run ran run", "courir", "cours court courons courez courent", "couru")
SPEAK = verb("speak spoke spoken", "parler")
LIVE = verb("live", "habiter")

GO = verb("go went gone", "aller", "vais va allons allez vont", "allé", with_etre=True)
ARRIVE = verb("arrive", "arriver", with_etre=True)
STAY = verb("stay", "rester", with_etre=True)
RETURN = verb("return", "retourner", with_etre=True)
COME = verb("come came come", "venir", "viens vient venons venez viennent", "venu", with_etre=True)
COME_BACK = verb(
    "come_back came_back come_back",
    "revenir",
    "reviens revient revenons revenez reviennent",
    "revenu",
    with_etre=True,
)

FRAGILE = named(BELONGINGS, "plate cup lamp bottle mirror clock phone computer")
PREPARED = named(FRUIT + FOOD + DRINKS, "cake sandwich soup salad rice meat fish tea coffee")
WRITABLE = tuple(noun for noun in TEXTS if noun.en != "newspaper")

Actions = tuple[tuple[Verb, tuple[Noun, ...]], ...]

# Actions that can be in progress now.
ACTIVITIES: Actions = (
    (EAT, FRUIT + FOOD),
    (DRINK, DRINKS),
    (BUY, FRUIT + FOOD + CLOTHES + BELONGINGS + VEHICLES + FURNITURE),
    (SELL, FRUIT + CLOTHES + BELONGINGS + VEHICLES + FURNITURE),
    (TRANSLATE, TEXTS),
    (WRITE, WRITABLE),
    (WATCH, PICTURES + ANIMALS),
    (WEAR, CLOTHES),
    (WASH, CLOTHES + VEHICLES),
    (CLEAN, ROOMS + FURNITURE + OPENINGS),
    (OPEN, OPENINGS + BAGS),
    (CLOSE, OPENINGS + BAGS),
    (LOOK_FOR, BELONGINGS + CLOTHES),
    (REPAIR, VEHICLES + FURNITURE),
    (DRAW, ANIMALS + VEHICLES + TRANSPORT),
    (FEED, ANIMALS),
    (TAKE, TRANSPORT + BELONGINGS),
    (PREPARE, PREPARED),
)

# Actions that can happen once.
ACTIONS: Actions = (
    *ACTIVITIES,
    (PAINT, OPENINGS + FURNITURE + ROOMS),
    (CHOOSE, CLOTHES + BELONGINGS),
    (FOLLOW, named(LANDSCAPE, "path street road river stream canal avenue")),
    (CLIMB, named(LANDSCAPE, "hill mountain slope volcano path")),
    (CROSS, named(LANDSCAPE, "street road bridge river square park lake forest field")),
    (EXPLORE, named(LANDSCAPE, "forest cave desert valley village beach mountain park")),
    (FIND, BELONGINGS + BAGS),
    (LOSE, BELONGINGS + CLOTHES),
    (SEE, ANIMALS + LANDSCAPE),
    (BRING, FRUIT + FOOD + DRINKS),
    (HIDE, BELONGINGS + TEXTS),
    (BREAK, FRAGILE),
    (USE, BELONGINGS + VEHICLES),
    (VISIT, BUILDINGS + OUTDOORS),
)

# Actions that can be habits.
HABITUAL: Actions = (
    (EAT, FRUIT + FOOD),
    (DRINK, DRINKS),
    (BUY, FRUIT + FOOD + DRINKS),
    (TRANSLATE, TEXTS),
    (WRITE, WRITABLE),
    (WATCH, PICTURES + ANIMALS),
    (WEAR, CLOTHES),
    (WASH, VEHICLES),
    (CLEAN, ROOMS + FURNITURE),
    (FEED, ANIMALS),
    (PREPARE, PREPARED),
    (TAKE, TRANSPORT),
)

PASTIMES = (SLEEP, WORK, SING, DANCE, PLAY, WALK, RUN)
MOVES = ((GO, "to"), (RETURN, "to"), (ARRIVE, "at"), (STAY, "at"))
