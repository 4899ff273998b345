"""Mutation tests (`make mutants`): small faults put into the mechanical parts, each of which a fast test must see."""
