"""The parts of a step: layers, state, priors, conditions, likelihoods and losses."""
