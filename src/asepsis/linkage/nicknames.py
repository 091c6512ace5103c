"""Short forms of given names, each with the form that stands for all of them.

A small table of English, Spanish, German and French forms that are in wide use; a form that belongs to
several names (``pat``, ``alex``) stands with the commoner one. It is data: deeper tables may replace it.
"""

from __future__ import annotations

from typing import Final

_FORMS: Final = """
alexander alex sandy sasha alejandro alexandre
andrew andy drew andreas andres andre
anthony tony antonio anton antoine toni
barbara barb babs barbie
benjamin ben benny benji
bernard bernie bernhard bernardo
catherine cathy cath kate kathy katherine kathleen katie katharina catalina kitty
charles charlie chuck chas carlos karl
christina tina chris christine cristina kristin kirsten
christopher kit topher christoph cristobal kris
daniel dan danny
david dave davey davy
deborah debbie deb debra
donald don donnie
dorothy dot dottie dorothea dorotea
edward ed eddie ted ned eduardo eduard
eleanor ellie nell nellie leonor
elizabeth liz beth betty bess eliza lizzie elisabeth elsa isabel
frances fran francie
francis frank frankie francisco franz paco pancho
frederick fred freddie freddy friedrich federico fritz
george georgie jorge georg
gerald gerry jerry
gregory greg gregorio
guadalupe lupe
harold hal harry
helen nell helena elena
henry hank heinrich enrique
ignacio nacho
jacob jake jakob
james jim jimmy jamie jaime
jennifer jen jenny
jesus chuy
john jack johnny juan johann hans jean
jonathan jon
joseph joe joey jose josef pepe
joshua josh
judith judy judi
kenneth ken kenny
laurence larry lawrence lorenzo
leonard len lenny leonardo
louis lou luis ludwig
manuel manny manolo
margaret maggie meg peggy peg marge margarita margarete greta
maria mary marie
martha marty marta
matthew matt mateo matthias
michael mike mick mickey miguel mikey
nancy nan
nathaniel nathan nate nat
nicholas nick nicky nicolas nikolaus klaus
pamela pam
patricia pat patty tricia trish
paul pablo
peter pete pedro
philip phil felipe
ramon moncho
raymond ray raimundo
rebecca becky becca
richard dick rick ricky rich ricardo
robert bob bobby rob robbie roberto
ronald ron ronnie
rosario charo
samantha sammie
samuel sam sammy
stephen steve steven stefan esteban stevie
susan sue susie suzanne susanna
teresa terry theresa tess
thomas tom tommy tomas
timothy tim timmy
victoria vicky tori
vincent vince vinny vicente
virginia ginny
walter walt
wilhelmina mina
william bill billy will willie guillermo wilhelm
"""

CANONICAL: Final = {form: line.split()[0] for line in _FORMS.strip().splitlines() for form in line.split()}
"""From every form to the one that stands for it."""

_SHORT: Final = """
alexandra alex sandy
charlotte charlie
christian chris
christopher chris
frances frankie
joanna jo
josephine jo josie
maximilian max
patrick pat paddy
roberta bobbie robbie
samantha sam
theodore ted teddy
"""
"""Short forms that stand with a commoner name, and are no less those of these."""


def other_forms(name: str) -> tuple[str, ...]:
    """The forms that a name may be mistyped in as well as in its own."""
    return _OTHERS.get(name, ())


def _others() -> dict[str, tuple[str, ...]]:
    lines = [line.split() for line in _FORMS.strip().splitlines()]
    others = {form: tuple(each for each in line if each != form) for line in lines for form in line}
    for name, *short in map(str.split, _SHORT.strip().splitlines()):
        others[name] = (*others.get(name, ()), *short)
    return others


_OTHERS: Final = _others()
