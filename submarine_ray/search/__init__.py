"""Finds everything that has a page by what somebody types; and what each user marked and opened last."""
