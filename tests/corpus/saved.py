"""Repositories as the real libraries save them: each maker writes one folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")
CHATML = (
    "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def tokenizer(folder):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")])
    made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    made.train_from_iterator(
        ["hello world", "a small text"] * 4, trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>", "<s>", "</s>"])
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    fast.chat_template = CHATML
    fast.save_pretrained(folder)
    return fast


def transformers_llama(folder):
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    fast = tokenizer(folder)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        bos_token_id=1, eos_token_id=2, max_position_embeddings=64,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[2], do_sample=True, temperature=0.6)
    model.save_pretrained(folder, max_shard_size="8KB")
    (folder / "README.md").write_text(
        "---\nlicense: apache-2.0\nlanguage: [en]\n---\n\n# Tiny\n\n```bash\npip install transformers\n```\n\n```python\nfrom transformers import AutoModel\n```\n"
    )
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")


def transformers_bert(folder):
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    BertModel(
        BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
    ).save_pretrained(folder)


def transformers_vit(folder):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


def diffusers_pipeline(folder):
    from diffusers import DDPMScheduler, EulerDiscreteScheduler

    EulerDiscreteScheduler().save_pretrained(folder / "scheduler")
    DDPMScheduler().save_pretrained(folder / "other_scheduler")
    (folder / "unet").mkdir()
    (folder / "unet/config.json").write_text(
        json.dumps({"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.42.1", "act_fn": "silu"})
    )
    (folder / "model_index.json").write_text(
        json.dumps(
            {
                "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1", "feature_extractor": ["transformers", "CLIPImageProcessor"],
                "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "scheduler": ["diffusers", "EulerDiscreteScheduler"],
                "text_encoder": ["transformers", "CLIPTextModel"], "unet": ["diffusers", "UNet2DConditionModel"], "requires_safety_checker": True,
            }
        )
    )  # fmt: skip


def sentence_transformers(folder):
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizer

    inner = folder.parent / f"{folder.name}-inner"
    inner.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s"]
    (inner / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizer(str(inner / "vocab.txt")).save_pretrained(inner)
    BertModel(
        BertConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).save_pretrained(inner)
    word = models.Transformer(str(inner))
    SentenceTransformer(modules=[word, models.Pooling(16), models.Normalize()], device="cpu").save(str(folder))


def peft_lora(folder):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    )
    model.config._name_or_path = "org/base"
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    tuned.save_pretrained(folder)


def keras_models(folder):
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(3, activation="relu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(2),
        ]
    )
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")
    (folder / "model.json").write_text(model.to_json())
    image = keras.Sequential(
        [
            keras.layers.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(2, 3),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    image.save(folder / "image.keras")


def onnx_models(folder):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    weight = numpy_helper.from_array(np.ones((4, 2), "float32"), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Softmax", ["r"], ["y"]),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    onnx.save(model, folder / "model.onnx")
    onnx.save(model, folder / "split.onnx", save_as_external_data=True, location="split.onnx_data", size_threshold=0)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])


def onnx_from_sklearn_like(folder):
    """Every operator that onnx itself tests, as it exports them."""
    import warnings

    import onnx
    from onnx.backend.test.case.node import collect_testcases

    warnings.simplefilter("ignore", RuntimeWarning)  # the cases overflow on purpose

    wanted = (
        "test_where",
        "test_if",
        "test_loop11",
        "test_softmax",
        "test_equal",
        "test_greater",
        "test_maxpool",
        "test_scan",
        "test_ai_onnx_ml",
    )
    for case in collect_testcases(None):
        if case.name.startswith(wanted):
            onnx.save(case.model, folder / f"{case.name}.onnx")


def gguf_models(folder):
    import gguf

    writer = gguf.GGUFWriter(folder / "tiny.Q8_0.gguf", "llama")
    writer.add_name("tiny")
    writer.add_license("apache-2.0")
    writer.add_context_length(64)
    writer.add_chat_template(CHATML)
    writer.add_token_list(["<unk>", "<s>", "</s>", "a"])
    writer.add_token_scores([0.0] * 4)
    writer.add_token_types([2, 3, 3, 1])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_tensor("token_embd.weight", np.ones((4, 32), "float32"))
    quantised = gguf.quants.quantize(np.ones((4, 32), "float32"), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.0.attn_q.weight", quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "Modelfile").write_text(
        "FROM ./tiny.Q8_0.gguf\nPARAMETER temperature 0.7\nSYSTEM You are a helpful assistant.\n"
    )


def saved_model(folder):
    from tests.corpus.binaries import PLAIN, bundle, meta, saved

    (folder / "variables").mkdir()
    (folder / "saved_model.pb").write_bytes(saved(meta(PLAIN))["saved_model.pb"])
    for name, data in bundle(16).items():
        (folder / "variables" / name.replace("ckpt", "variables")).write_bytes(data)


def hdf5_files(folder):
    import h5py

    for version in ("earliest", "v108", "v110", "latest"):
        with h5py.File(
            folder / f"{version}.h5",
            "w",
            libver=(version, version) if version != "earliest" else "earliest",
            track_order=version == "latest",
        ) as file:
            for number in range(40):
                group = file.create_group(f"g{number:03}")
                group.create_dataset(
                    "w", data=np.arange(12, dtype="float32").reshape(3, 4), compression="gzip" if number % 2 else None
                )
                group.attrs["name"] = f"layer {number}"
                group.attrs["note"] = np.bytes_(b"fixed")
            for number in range(30):
                file.attrs[f"a{number}"] = "x" * 50
            file["soft"] = h5py.SoftLink("/g000/w")


def classical(folder):
    from tests.corpus import binaries

    (folder / "lightgbm.txt").write_bytes(binaries.lightgbm_text())
    (folder / "xgboost.json").write_bytes(binaries.xgboost_model("json"))
    (folder / "xgboost.ubj").write_bytes(binaries.xgboost_model("ubj"))
    (folder / "catboost.cbm").write_bytes(binaries.catboost_model())
    (folder / "frame.rds").write_bytes(binaries.rds())
    (folder / "a.mat").write_bytes(binaries.matlab())


def sentencepiece_model(folder):
    import sentencepiece

    (folder / "in.txt").write_text("hello world\na small text\n" * 50)
    for kind in ("bpe", "unigram"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "in.txt"),
            model_prefix=str(folder / kind),
            vocab_size=24,
            model_type=kind,
            minloglevel=2,
            hard_vocab_limit=False,
        )


def notebook(folder):
    import nbformat

    made = nbformat.v4.new_notebook()
    made.cells = [
        nbformat.v4.new_markdown_cell("# Hello"),
        nbformat.v4.new_code_cell("%matplotlib inline\nimport numpy as np\nx = np.arange(3)\nx"),
        nbformat.v4.new_code_cell("!ls\nprint('a')"),
    ]
    made.cells[1].outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": "array([0, 1, 2])"})]
    nbformat.write(made, folder / "a.ipynb")


MAKERS = {
    maker.__name__: maker
    for maker in (
        transformers_llama, transformers_bert, transformers_vit, diffusers_pipeline, sentence_transformers, peft_lora, keras_models,
        onnx_models, onnx_from_sklearn_like, gguf_models, saved_model, hdf5_files, classical, sentencepiece_model, notebook,
    )
}  # fmt: skip


def make(name, folder):
    """Write one repository; its path."""
    path = Path(folder, name)
    path.mkdir(parents=True)
    MAKERS[name](path)
    return path
