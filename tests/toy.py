"""The smallest tokenizer: whole words, the six of the article and three ids in front."""


class ToyTokenizer:
    """Ids 0 to 2 are padding, BOS and unknown; then the article's words, `<eos>` last."""

    words = ("<pad>", "<bos>", "<unk>", "a", "am", "i", "thanks", "student", "<eos>")
    pad_id, bos_id, unk_id, eos_id = 0, 1, 2, 8

    def vocabulary_size(self):
        return len(self.words)

    def tokenize(self, text):
        if isinstance(text, str):
            return [self.words.index(word) for word in text.split()]
        return [self.tokenize(one) for one in text]

    def id_to_token(self, id):
        return self.words[id]

    def detokenize(self, ids):
        if ids and isinstance(ids[0], list):
            return [self.detokenize(row) for row in ids]
        return " ".join(self.words[i] for i in ids if self.words[i][0] != "<")
