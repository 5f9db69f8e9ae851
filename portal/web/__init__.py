"""The pages: one blueprint a family, in one frame, behind one access check."""

from flask import Blueprint, Flask

from portal.web import access, assets, categories, frame, locations


def init_app(app: Flask) -> None:
    """Give the application its frame, its access check and its pages."""
    frame.init_app(app)
    access.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)


# One line a page family.
BLUEPRINTS: tuple[Blueprint, ...] = (
    assets.blueprint,
    categories.blueprint,
    locations.blueprint,
)
