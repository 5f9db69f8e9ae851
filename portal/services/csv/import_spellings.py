"""What other programs call our columns and words, in a few languages. Data alone."""

from collections.abc import Mapping
from typing import Final

# Without blanks, points and dashes, in small letters.
_OTHERS: Final[Mapping[str, str]] = {
    "asset_tag": "tag assettag inventarnummer inventarnr inventorynumber inventoryno barcode "
    "numéroinventaire numeroinventaire etiqueta inventar anlagennummer anlagennr assetid",
    "name": "bezeichnung gerät artikel gegenstand item itemname assetname title description "
    "désignation nom nombre denominazione beschreibung",
    "kind": "art typ type",
    "category": "kategorie gruppe warengruppe assettype catégorie categoría categoria group",
    "manufacturer": "hersteller marke brand make fabricant fabricante maker",
    "model": "modell modelname modelnumber modelno modèle modelo modello",
    "serial_number": "serial serialno sn seriennummer seriennr serien numérodesérie "
    "numerodeserie númerodeserie fabriknummer",
    "location": "standort ort raum room site place building lieu emplacement ubicación ubicacion "
    "lagerort abteilungsraum",
    "supplier": "lieferant vendor händler fournisseur proveedor",
    "order_number": "bestellnummer bestellnr order orderno ponumber po purchaseorder "
    "numérodecommande auftragsnummer",
    "purchase_date": "anschaffung anschaffungsdatum kaufdatum gekauftam boughton purchased "
    "datepurchased dateachat dated'achat fechadecompra kauf",
    "purchase_cost": "preis kosten anschaffungspreis anschaffungskosten kaufpreis price cost "
    "value wert prix precio betrag",
    "warranty_expires": "garantie garantiebis garantieende gewährleistungbis warranty "
    "warrantyuntil warrantyends warrantyexpiration findegarantie",
    "condition": "zustand state état estado",
    "reservable": "reservierbar ausleihbar bookable",
    "quantity": "menge anzahl bestand qty stock amount stück quantité cantidad",
    "min_quantity": "mindestbestand mindestmenge minimum reorderlevel minqty",
    "unit": "einheit unité unidad uom",
    "notes": "bemerkung bemerkungen notiz notizen anmerkung kommentar comment comments remarks "
    "note remarque",
    "assigned_to_email": "email mail emailadresse holdersemail assignedtoemail inhaberemail "
    "nutzeremail useremail",
}
HEADINGS: Final = {word: ours for ours, words in _OTHERS.items() for word in words.split()}

# {column: {another's word: ours}}
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "condition": {
        **dict.fromkeys(("neu", "neuwertig", "sehr gut", "new", "like new", "neuf"), "excellent"),
        **dict.fromkeys(("gut", "used", "ok", "okay", "gebraucht", "bon", "bueno"), "good"),
        **dict.fromkeys(("mittel", "befriedigend", "average", "moyen", "regular"), "fair"),
        **dict.fromkeys(("schlecht", "abgenutzt", "bad", "worn", "mauvais", "malo"), "poor"),
        **dict.fromkeys(("defekt", "kaputt", "beschädigt", "broken", "cassé", "roto"), "damaged"),
    },
    "kind": {
        **dict.fromkeys(("einzelstück", "gerät", "einzeln", "single", "thing", "asset"), "item"),
        **dict.fromkeys(("lager", "verbrauch", "verbrauchsmaterial", "consumable"), "stock"),
    },
    "reservable": {
        **dict.fromkeys(("ja", "j", "oui", "si", "sí", "x", "wahr"), "yes"),
        **dict.fromkeys(("nein", "non", "falsch", "-"), "no"),
    },
}
