/* Rules that come with Asepsis (Apache-2.0): notes, and marks that ransomware leaves in the files it encrypts.
   The marks are public facts from analyses of these families; the notes are told by what all of them say.
   meta.verdict = "compromised" condemns an object; without it a match is a reason to suspect. */

rule asepsis_note_with_onion_address {
  meta:
    verdict = "compromised"
    about = "a text that names an onion address of version 3 and speaks of decryption or payment"
  strings:
    $onion = /[^a-z2-7][a-z2-7]{56}\.onion/
    $decrypt = /(de|en)crypt(ed|ion|or)?/ nocase
    $pay = /bitcoin|monero|ransom|btc|xmr|leak/ nocase
    $yours = /your (files|data|network|company|documents|systems)/ nocase
  condition:
    filesize < 128KB and $onion and $yours and ($decrypt or $pay)
}

rule asepsis_note_by_its_phrases {
  meta:
    about = "a short text that says most of what ransom notes say"
  strings:
    $a = /(files|data|documents|network|systems?)[^.\n]{0,60}(been|are|were) [^.\n]{0,12}encrypted/ nocase
    $b = /private key|decryption key|decryptor|decryption (tool|software)/ nocase
    $c = /bitcoin|monero|\bBTC\b|\bXMR\b/ nocase
    $d = /tor browser|torproject\.org|tox (chat|id)/ nocase
    $e = /do not (try to )?(rename|modify|delete|decrypt|recover)/ nocase
    $f = /(will be|get) (published|leaked|sold)|price (will|is) doubled?/ nocase
  condition:
    filesize < 128KB and 4 of them
}

rule asepsis_mark_wannacry {
  meta:
    verdict = "compromised"
    about = "the first bytes of files that WannaCry encrypted"
  strings:
    $mark = "WANACRY!"
  condition:
    $mark at 0
}

rule asepsis_mark_djvu {
  meta:
    verdict = "compromised"
    about = "the identifier that STOP/Djvu writes at the end of files"
  strings:
    $mark = "{36A698B9-D67C-4E07-BE82-0EC5B14B4DF5}"
  condition:
    $mark and not uint16(0) == 0x5A4D
}

rule asepsis_mark_babuk {
  meta:
    verdict = "compromised"
    about = "the text that Babuk writes at the end of files"
  strings:
    $mark = "choung dong looks like hot dog!!"
  condition:
    $mark
}

rule asepsis_mark_phobos {
  meta:
    about = "the mark that Phobos writes at the end of files"
  strings:
    $mark = "LOCK96"
  condition:
    $mark in (filesize - 256..filesize)
}
