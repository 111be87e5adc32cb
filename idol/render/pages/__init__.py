"""The parts of the page that `idol.render.page` writes."""
