"""The command line of cropcube: parse, call one pipeline verb, show the result."""
