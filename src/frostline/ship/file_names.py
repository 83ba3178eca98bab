"""What the files of a model folder are called."""

ABOUT = "frostline.json"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
GRAPH = "graph.xml"
GRAPH_WEIGHTS = "graph.bin"
NOVELTY = "novelty.safetensors"

ALL = (ABOUT, WEIGHTS, CONFIG, CARD, GRAPH, GRAPH_WEIGHTS, NOVELTY)
