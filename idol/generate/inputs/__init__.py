"""What is given: a person, a background and a motion, annotated where they are raw."""
