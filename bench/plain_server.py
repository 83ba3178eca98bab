"""A picture classifier behind FastAPI and torch, as tutorials write it: what `frostline serve` is measured beside."""

import io
import os

import timm
import torch
from fastapi import FastAPI, File, UploadFile
from PIL import Image

model = timm.create_model(f"local-dir:{os.environ['MODEL']}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config(model.pretrained_cfg))
classes = model.pretrained_cfg["label_names"]
app = FastAPI()


def answer(content: bytes) -> dict:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    with torch.no_grad():
        probabilities = model(transform(image).unsqueeze(0)).softmax(dim=1)[0]
    best = int(probabilities.argmax())
    return {"label": classes[best], "probability": float(probabilities[best])}


@app.post("/async")
async def in_the_loop(file: UploadFile = File(...)) -> dict:
    return answer(await file.read())


@app.post("/threads")
def in_threads(file: UploadFile = File(...)) -> dict:
    return answer(file.file.read())
