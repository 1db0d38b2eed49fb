"""cropcube: from a satellite catalogue to an audited crop-type map."""
