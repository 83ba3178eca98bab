"""transformers' ``Trainer`` at its defaults (3 epochs, batch 8, AdamW at 5e-5), as in its image classification guide.

python transformers_trainer.py DATA TRUNK --epochs 3
"""

import argparse
import json

import numpy as np
from torchvision.datasets import ImageFolder
from transformers import AutoImageProcessor, AutoModelForImageClassification, Trainer, TrainingArguments

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("trunk")
parser.add_argument("--epochs", type=float, default=3)
given = parser.parse_args()

processor = AutoImageProcessor.from_pretrained(given.trunk)
seen = {split: ImageFolder(f"{given.data}/{split}") for split in ("train", "val")}
labels = seen["train"].classes


class Pictures:
    """Pictures as the model wants them: the processor's training transform for one split, its own for the other."""

    def __init__(self, split: str, transform) -> None:
        self.folder, self.transform = seen[split], transform

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, index: int) -> dict:
        image, label = self.folder[index]
        return {"pixel_values": self.transform(image.convert("RGB")), "labels": label}


model = AutoModelForImageClassification.from_pretrained(
    given.trunk,
    num_labels=len(labels),
    id2label=dict(enumerate(labels)),
    label2id={label: index for index, label in enumerate(labels)},
    ignore_mismatched_sizes=True,
)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        "run", num_train_epochs=given.epochs, eval_strategy="epoch", report_to="none", disable_tqdm=True
    ),
    train_dataset=Pictures("train", processor.train_transforms),
    eval_dataset=Pictures("val", processor.val_transforms),
    compute_metrics=lambda found: {"accuracy": float((np.argmax(found.predictions, 1) == found.label_ids).mean())},
)
trainer.train()
right = trainer.evaluate()["eval_accuracy"]
trainer.save_model("model")
print(json.dumps({"val": right, "n": len(seen["val"])}))
