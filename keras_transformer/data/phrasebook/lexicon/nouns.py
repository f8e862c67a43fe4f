"""Nouns by semantic class: `english[/plural] french[/plural] gender`; `-` marks mass nouns."""

from keras_transformer.data.phrasebook.words import named, nouns

ANIMALS = nouns("""
    animal      animal      m
    dog         chien       m
    cat         chat        m
    horse       cheval      m
    rabbit      lapin       m
    fox         renard      m
    wolf/wolves loup        m
    donkey      âne         m
    lamb        agneau/agneaux m
    duck        canard      m
    monkey      singe       m
    bear        ours        m
    elephant    éléphant    m
    pig         cochon      m
    cow         vache       f
    goat        chèvre      f
    hen         poule       f
    mouse/mice  souris      f
    turtle      tortue      f
    giraffe     girafe      f
    frog        grenouille  f
    spider      araignée    f
    goose/geese oie         f
    ant         fourmi      f
    mule        mule        f
    panther     panthère    f
""")

FRUIT = nouns("""
    apple          pomme    f
    banana         banane   f
    orange         orange   f
    pear           poire    f
    strawberry     fraise   f
    lemon          citron   m
    tomato/tomatoes tomate  f
    carrot         carotte  f
    onion          oignon   m
    egg            œuf      m
    cake           gâteau   m
    sandwich       sandwich m
""")

FOOD = nouns("""
    bread/-     pain      m
    cheese/-    fromage   m
    meat/-      viande    f
    fish/-      poisson   m
    rice/-      riz       m
    soup/-      soupe     f
    butter/-    beurre    m
    chocolate/- chocolat  m
    salad/-     salade    f
    jam/-       confiture f
    honey/-     miel      m
    ham/-       jambon    m
""")

DRINKS = nouns("""
    water/-    eau      f
    milk/-     lait     m
    tea/-      thé      m
    coffee/-   café     m
    wine/-     vin      m
    beer/-     bière    f
    juice/-    jus      m
    lemonade/- limonade f
""")

TEXTS = nouns("""
    book      livre   m
    letter    lettre  f
    newspaper journal m
    message   message m
    poem      poème   m
    story     histoire f
    novel     roman   m
    page      page    f
""")

CLOTHES = nouns("""
    hat     chapeau   m
    coat    manteau   m
    shirt   chemise   f
    jacket  veste     f
    scarf/scarves écharpe f
    sweater pull      m
    cap     casquette f
    belt    ceinture  f
""")

BELONGINGS = nouns("""
    key         clé       f
    phone       téléphone m
    umbrella    parapluie m
    pen         stylo     m
    pencil      crayon    m
    notebook    cahier    m
    ticket      billet    m
    map         carte     f
    computer    ordinateur m
    ball        ballon    m
    doll        poupée    f
    toy         jouet     m
    ring        bague     f
    gift        cadeau    m
    lamp        lampe     f
    clock       horloge   f
    mirror      miroir    m
    knife/knives couteau  m
    fork        fourchette f
    spoon       cuillère  f
    plate       assiette  f
    cup         tasse     f
    bottle      bouteille f
    flower      fleur     f
""")

PICTURES = nouns("""
    film      film    m
    match     match/matchs m
    photo     photo   f
    show      spectacle m
    painting  tableau m
""")

CONTAINERS = nouns("""
    bag      sac     m
    box      boîte   f
    suitcase valise  f
    basket   panier  m
    drawer   tiroir  m
    cupboard placard m
    trunk    coffre  m
    pocket   poche   f
""")
BAGS = CONTAINERS[:-1]  # a pocket is not bought, closed or owned

FURNITURE = nouns("""
    table  table  f
    chair  chaise f
    bed    lit    m
    sofa   canapé m
    shelf/shelves étagère f
    bench  banc   m
    carpet tapis  m
""")

ROOMS = nouns("""
    kitchen cuisine f
    bedroom chambre f
    room    pièce   f
    cellar  cave    f
    garage  garage  m
""")

OPENINGS = nouns("""
    door   porte   f
    window fenêtre f
""")

VEHICLES = nouns("""
    car   voiture f
    bike  vélo    m
    boat  bateau  m
    truck camion  m
""")

TRANSPORT = nouns("""
    train train m
    plane avion m
    bus   bus   m
    taxi  taxi  m
""")

BUILDINGS = nouns("""
    school     école        f
    market     marché       m
    station    gare         f
    museum     musée        m
    office     bureau       m
    hospital   hôpital      m
    church     église       f
    bank       banque       f
    hotel      hôtel        m
    library    bibliothèque f
    restaurant restaurant   m
    cinema     cinéma       m
    theater    théâtre      m
    airport    aéroport     m
    pool       piscine      f
    bakery     boulangerie  f
    pharmacy   pharmacie    f
    university université   f
    factory    usine        f
    stadium    stade        m
    zoo        zoo          m
""")

# Places that an animal may cross, follow, climb or explore.
LANDSCAPE = nouns("""
    bridge    pont      m
    path      chemin    m
    park      parc      m
    garden    jardin    m
    lake      lac       m
    stream    ruisseau  m
    canal     canal     m
    tunnel    tunnel    m
    field     champ     m
    desert    désert    m
    boulevard boulevard m
    village   village   m
    volcano/volcanoes volcan m
    street    rue       f
    road      route     f
    avenue    avenue    f
    square    place     f
    river     rivière   f
    forest    forêt     f
    valley    vallée    f
    beach     plage     f
    hill      colline   f
    mountain  montagne  f
    slope     pente     f
    meadow    prairie   f
    cave      grotte    f
""")

INSTRUMENTS = nouns("""
    piano    piano    m
    guitar   guitare  f
    violin   violon   m
    trumpet  trompette f
    flute    flûte    f
    drum     tambour  m
""")

LANGUAGES = nouns("""
    French/-   français  m
    English/-  anglais   m
    German/-   allemand  m
    Spanish/-  espagnol  m
    Italian/-  italien   m
    Japanese/- japonais  m
""")

BODY = nouns("""
    head/-      tête    f
    back/-      dos     m
    throat/-    gorge   f
    stomach/-   ventre  m
    leg/-       jambe   f
    arm/-       bras    m
    foot/- pied    m
    hand/-      main    f
    knee/-      genou m
    shoulder/-  épaule  f
""")

SPACES = named(LANDSCAPE, "bridge park garden canal boulevard street avenue square")
OUTDOORS = named(LANDSCAPE, "park garden village street forest")

# Classes of things that can be compared with each other.
KINDS = (CLOTHES, BELONGINGS, BAGS, VEHICLES, FURNITURE)
