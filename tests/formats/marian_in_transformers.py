"""What the Transformers library makes of Marian checkpoints. Run by its own interpreter:

python marian_in_transformers.py REQUEST.json ANSWER.json
"""

import json
import sys
import warnings

import torch
import transformers

BEAMS, ROOM, SHORTEST = 4, 20, 7


def main(request_path, answer_path):
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    answer = {name: answered(name, request) for name in request["folders"]}
    answer["found"] = searched(request["folders"][0], request)
    with open(answer_path, "w", encoding="utf-8") as file:
        json.dump(answer, file)


def answered(folder, request):
    model = transformers.MarianMTModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
    source, target = (torch.tensor(request[side]) for side in ("source", "target"))
    seen = (source != model.config.pad_token_id).long()
    with torch.no_grad():
        logits = model(source, attention_mask=seen, decoder_input_ids=target).logits
    rows = tokenizer(request["texts"])["input_ids"]
    target_rows = tokenizer(text_target=request["texts"])["input_ids"]
    model.save_pretrained(f"{folder}/saved")
    tokenizer.save_pretrained(f"{folder}/saved")
    return {
        "logits": logits.tolist(),
        "ids": rows,
        "target_ids": target_rows,
        "decoded": tokenizer.batch_decode(target_rows, skip_special_tokens=True),
    }


def searched(folder, request):
    """Of the first checkpoint only: two vocabularies of different size fail in its beam search."""
    model = transformers.MarianMTModel.from_pretrained(folder, dtype=torch.float32).eval()
    model.final_logits_bias[:, model.config.pad_token_id] = -1000
    source = torch.tensor(request["source"])
    seen = (source != model.config.pad_token_id).long()
    return {str(beams): generated(model, source, seen, beams) for beams in (1, BEAMS)}


def generated(model, source, seen, beams):
    """No length penalty, no early stop: the search of this package."""
    found = model.generate(
        source,
        attention_mask=seen,
        num_beams=beams,
        do_sample=False,
        length_penalty=0.0,
        early_stopping=beams > 1 and "never",
        max_length=ROOM + 1,  # with the token that starts
        min_length=SHORTEST,
        forced_eos_token_id=None,
        bad_words_ids=[[model.config.pad_token_id]],
        return_dict_in_generate=True,
        output_scores=True,
    )
    scores = getattr(found, "sequences_scores", None)
    return {
        "ids": found.sequences[:, 1:].tolist(),
        "scores": None if scores is None else scores.tolist(),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
