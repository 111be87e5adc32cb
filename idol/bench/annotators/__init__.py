"""How far annotators are from what is true: rendered people, of whom everything is known."""
