"""Ids and translations of an OPUS-MT model by Transformers. Run by its own interpreter:

python opus_mt_in_transformers.py REQUEST.json ANSWER.json
"""

import json
import sys
import warnings

import torch
import transformers

BATCH = 20


def main(request_path, answer_path):
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    tokenizer = transformers.MarianTokenizer.from_pretrained(request["folder"])
    answer = {}
    if "texts" in request:
        answer["source_ids"] = tokenizer(request["texts"])["input_ids"]
        answer["target_ids"] = tokenizer(text_target=request["texts"])["input_ids"]
        answer["decoded"] = [
            tokenizer.decode(ids, skip_special_tokens=True) for ids in answer["target_ids"]
        ]
    if "translate" in request:
        answer["ids"] = translated(request, tokenizer)
        answer["translations"] = [
            tokenizer.decode(ids, skip_special_tokens=True) for ids in answer["ids"]
        ]
    with open(answer_path, "w", encoding="utf-8") as file:
        json.dump(answer, file)


def translated(request, tokenizer):
    """Greedily, in batches of similar length."""
    model = transformers.MarianMTModel.from_pretrained(request["folder"], dtype=torch.float32)
    texts = request["translate"]
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    found = {}
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        inputs = tokenizer([texts[n] for n in some], return_tensors="pt", padding=True)
        ids = model.eval().generate(
            **inputs,
            num_beams=1,
            do_sample=False,
            max_new_tokens=inputs["input_ids"].shape[1] + request["room"],
            forced_eos_token_id=None,
        )
        found.update(zip(some, ids[:, 1:].tolist(), strict=True))
    return [found[n] for n in range(len(texts))]


if __name__ == "__main__":
    main(*sys.argv[1:])
