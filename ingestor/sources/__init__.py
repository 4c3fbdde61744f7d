"""Where events come from. One folder or file an origin; all give the items of ``base``."""
