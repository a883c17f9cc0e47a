"""From a few rollouts of a policy to the settings of a method."""
