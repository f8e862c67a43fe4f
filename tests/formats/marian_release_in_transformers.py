"""Logits of releases after `convert_marian_to_pytorch` of Transformers. Run by its interpreter:

python marian_release_in_transformers.py REQUEST.json ANSWER.json

Exit code 3: this version of Transformers has no such converter (4.46.3 has, 4.51.3 has not).
"""

import json
import sys
import warnings
from pathlib import Path

import torch
import transformers

try:
    from transformers.models.marian.convert_marian_to_pytorch import OpusState
except ImportError as error:
    print(error)
    sys.exit(3)


def main(request_path, answer_path):
    warnings.simplefilter("ignore")
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    answer = {folder: answered(Path(folder), request) for folder in request["folders"]}
    Path(answer_path).write_text(json.dumps(answer), encoding="utf-8")


def answered(folder, request):
    """`convert`, but in float32: it saves the model in half precision."""
    state = OpusState(folder)
    model = state.load_marian_model().eval()
    source, target = (torch.tensor(request[side]) for side in ("source", "target"))
    seen = (source != model.config.pad_token_id).long()
    with torch.no_grad():
        logits = model(source, attention_mask=seen, decoder_input_ids=target).logits
    ids = state.tokenizer(request["texts"])["input_ids"]
    return {"version": transformers.__version__, "logits": logits.tolist(), "ids": ids}


if __name__ == "__main__":
    main(*sys.argv[1:])
