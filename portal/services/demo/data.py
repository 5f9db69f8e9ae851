"""Data of the demo register, an imaginary company of two dozen people."""

from collections.abc import Mapping
from typing import Final

PLACES: Final = ("Head office", "Training center", "Workshop", "Studio", "Warehouse")
DEPARTMENTS: Final = ("Sales", "Design", "Finance", "Workshop", "Training", "IT")
PEOPLE: Final = (  # comma-separated
    "Maria Lopez,Ana Gruber,Ben Novak,Cleo Marin,Dan Hofer,Eva Lindt,Finn Olsen,Gita Rao,"
    "Hugo Weiss,Ida Berg,Jonas Falk,Kira Petrov,Leo Brandt,Mina Haddad,Nils Aden,Olga Kovac,"
    "Paul Reiter,Rosa Conti,Sami Aalto,Tara Quinn,Uli Moser,Vera Sand,Will Archer,Zoe Martel"
)

PURPOSES: Final = ("Client visit", "Trade fair", "Training day", "Photo shoot", "Open house")
REASONS: Final = ("Changed teams", "Got a newer one", "On parental leave", "Project ended")
TAKEN_FOR: Final = ("Restocked the offices", "For the workshop", "For the training center")
FAULTS: Final = ("It no longer turns on", "One part is bent", "It smells of burning")
# Repeating maintenance by category, as (title, interval in days).
CARE: Final[Mapping[str, tuple[str, int]]] = {
    "Tools": ("Electrical safety check", 365),
    "Vehicles": ("Brakes and tyres", 180),
    "Printers": ("Clean the rollers", 90),
    "Projectors": ("Clean the filter", 180),
}
# Categories that are allocated permanently to one person and never reserved.
KEPT: Final = frozenset({"Furniture", "Phones"})
# name, category, manufacturer, model, supplier, cost, years of warranty, number of assets
PRODUCTS: Final = (
    ("ThinkPad T14", "Laptops", "Lenovo", "T14 Gen 4", "Datahaus", 1349, 3, 34),
    ("MacBook Air 13", "Laptops", "Apple", "M3 13", "Datahaus", 1299, 1, 16),
    ("UltraSharp 27", "Monitors", "Dell", "U2723QE", "Datahaus", 529, 3, 30),
    ("Pixel 8", "Phones", "Google", "8", "Mobilpunkt", 699, 2, 18),
    ("Docking station", "Accessories", "Lenovo", "40AY", "Datahaus", 229, 3, 20),
    ("Conference camera", "Cameras", "Logitech", "Rally", "Tonwerk", 899, 2, 6),
    ("EOS R7", "Cameras", "Canon", "R7", "Tonwerk", 1499, 2, 6),
    ("Projector", "Projectors", "Epson", "EB-L210W", "Tonwerk", 1149, 3, 8),
    ("Cordless drill", "Tools", "Makita", "DDF485", "Eisenkram", 189, 3, 14),
    ("Laser measure", "Tools", "Bosch", "GLM 50", "Eisenkram", 129, 2, 8),
    ("Label printer", "Printers", "Brother", "QL-820", "Datahaus", 199, 2, 6),
    ("Office printer", "Printers", "Kyocera", "MA2100", "Datahaus", 649, 2, 5),
    ("Height-adjustable desk", "Furniture", "Steelcase", "Migration", "Sitzgut", 759, 5, 11),
    ("Cargo bike", "Vehicles", "Urban Arrow", "Cargo L", "Radhof", 5490, 2, 3),
)
# name, unit, quantity, low-stock threshold
STOCK: Final = (
    ("Toner TK-1248", "pieces", 14, 4),
    ("Label roll 62 mm", "rolls", 40, 10),
    ("USB-C cable 2 m", "pieces", 36, 12),
    ("AA batteries", "packs", 25, 8),
    ("Copy paper A4", "boxes", 30, 10),
    ("Safety gloves", "pairs", 60, 20),
    ("HDMI adapter", "pieces", 9, 6),
    ("Whiteboard markers", "packs", 18, 6),
    ("Cleaning wipes", "packs", 22, 8),
    ("Drill bits 6 mm", "pieces", 48, 15),
    ("Packing tape", "rolls", 32, 10),
    ("Notebook A5", "pieces", 75, 25),
    ("Visitor badges", "pieces", 120, 40),
    ("Coffee beans", "kg", 20, 6),
    ("First aid refill", "sets", 6, 3),
)
