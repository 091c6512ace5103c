"""Words that the scrubbing of texts has to know: months, parts of names and addresses, and names that are words.

All words are folded (see ``folding``): lower case, without accents, ASCII where there is a base letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _months(*texts: str) -> Mapping[str, int]:
    return MappingProxyType({word: month for month, text in enumerate(texts, start=1) for word in text.split()})


MONTHS: Final[Mapping[str, int]] = _months(
    "january jan januar jaenner janner janvier janv enero ene gennaio gen januari leden ledna styczen stycznia",
    "february feb februar februari fevrier fevr febrero febbraio unor unora luty lutego",
    "march mar marz maerz mrz mars marzo maart brezen brezna marzec marca",
    "april apr avril avr abril abr aprile duben dubna kwiecien kwietnia",
    "may mai mayo maggio mag mei kveten kvetna maj maja",
    "june jun juni juin junio giugno giu cerven cervna czerwiec czerwca",
    "july jul juli juillet juil julio luglio lug cervenec cervence lipiec lipca",
    "august aug aout agosto ago augustus srpen srpna sierpien sierpnia",
    "september sep sept septembre septiembre settembre set zari wrzesien wrzesnia",
    "october oct oktober okt octobre octubre ottobre ott rijen rijna pazdziernik pazdziernika",
    "november nov novembre noviembre listopad listopadu listopada",
    "december dec dezember dez decembre diciembre dic dicembre prosinec prosince grudzien grudnia",
)
"""Names of months in eight languages, and the number of each; ``mar`` to ``dic`` are the usual short forms."""

FILLERS: Final = _words("st nd rd th of the de den del du le er ter ten")
"""What may stand between the parts of a written date."""

PARTICLES: Final = _words(
    "a al am an and auf aus bin da dal das de del della den der des di do dos du e el en het i ibn im in la las le les "
    "lo los mac mc o of op san st sta te ten ter the und van vom von vander y z ze zu zum zur mr mrs ms dr prof jr sr "
    "ii iii"
)
"""Parts of names that are scrubbed only together with the rest of the name."""

COMMON: Final = _words(
    """
    will may mark grace hope faith joy rose dean frank rich young brown white black green gray grey long short small day
    hand foot head bone brain heart art bill bob buck chance charity chase chip clay cliff cole colt crystal daisy dale
    dawn dick drew earl ernest eve ford forest gay gene glen guy heath holly hunter iris ivy jack jade jean jewel june
    april august julian lance lane lee lily low max melody mercy miles misty nick norm olive page pat pearl penny pepper
    pierce piper price ray reed rob robin rod ruby rusty sandy scarlet skip sky star stone summer sunny terry tiffany
    tom tony trip violet wade ward winter wolf woods baker bishop butcher carpenter cook cooper farmer fisher gardener
    knight marshall mason miller page potter sawyer shepherd smith taylor tanner turner walker weaver banks bell berry
    best bird blunt bond booth bowl box boyle bridge brook brooks bush camp case chain church close cloud cold cook cope
    corn cox craft cross curry dear drake drink driver english fairy fast field fields fine fish fit flood flower fox
    freeman french frost fry full game garden gold good grant grave great hale hall hard hardy hart harvest haste hawk
    hay hayes hazard heal hill hood horn horse house hunt hurt james justice keen key kidd king kirk kitchen lamb land
    law lazy leach light little locke love loud man mann mars meek mild mills minor mist mixed moon moore moss mull neat
    nelson new noble noon north oak pace pain palm park parks paste pitt plain pond poor pope post pound power prior
    pugh quick race rain rash reader rest rice ring rise rivers road rock root rough round rush sage salmon salt sand
    sands savage scales self sharp shell shepard shore sick silver simple singer sleep slow snow south spark speed
    spring steady steel still stout strange strong sugar swan sweet swift tail temple thick thorn tighe tongue tower
    trace tree true urban vale valentine vein wall walls warm water waters watt way weeks weight well wells west wheat
    wise wish wood word worth wynn yard york ache arm back bacon ball bark bath beach bean beard beer bolt booker
    bowman breast brand broad bright brow bull burn burns butler cane cannon care carver cash chan chin china clear
    cough cramp crisp dale daily dance dose east ear elder eye fall farr fever finger fore gall gale gut hip hole hook
    joint knee lab leg limb line lung lymph mole mouth nail neck nerve nose oral organ palmer pill pulse rib scar shin
    sharma skin skull slack sober sore spine staff stark storm tablet tear test thumb toe tooth trial tube vision waist
    wrist wound an do be so son sun yes no on or us we he is it if go my by up in at to as me ma pa la le li lo
    alt arm blass ernst fuss gross gut hals herz jung kalt kind klein kopf kraft krank kurz lang leber lunge nagel
    niere ruhe sauer schmerz schwarz stark stein stern tag voll wach warm weiss wunde zahn koch bauer fischer jager
    richter sommer vogel wagner weber winter wolf engel berg bach busch feld horn kaiser konig kranz kuhn licht
    novy nova novotny cerny bily maly velky dlouhy kratky svoboda vesely sedlak kovar soukup zima jaro
    noel belle blanc blanche petit grand leblanc lebrun leroux roy claire marin olivier pierre rosa luz sol mar cruz
    rey leon blanca bueno delgado moreno rubio serrano guerra paz pilar reyes rios santos sierra torres vega
    """
)
"""Names that are also words of notes (English, German, Czech, French, Spanish): scrubbed only where capitalised."""

STREETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        word: words.split()[0]
        for words in (
            "street st str strasse strase straat",
            "road rd",
            "avenue ave av avenida aven",
            "lane ln",
            "drive dr drv",
            "court ct crt",
            "place pl platz plaza piazza",
            "square sq",
            "boulevard blvd bd",
            "terrace ter terr",
            "close cl",
            "crescent cres",
            "way wy weg",
            "gasse g",
            "allee",
            "ulice ul ulica",
            "namesti nam",
            "trida tr",
            "rue",
            "calle c",
            "via",
            "apartment apt flat unit suite ste whg wohnung",
            "hospital clinic klinik ward",
            "church school station market mill park garden gardens hill house green bridge",
        )
        for word in words.split()
    }
)
"""Kinds of streets and their short forms, each with one form that stands for all; none is scrubbed alone."""

CUES: Final = _words(
    "mrn id pid no nr num number nummer cislo numero patient pat patno patid case fall record chart rodne rc ssn nhs "
    "hospital unit file akte svnr kvnr"
)
"""Words behind which a short number is one of the patient."""
