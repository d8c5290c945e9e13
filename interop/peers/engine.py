"""A whole vLLM engine in this process, with a tiny model of random weights: `python -m interop.peers.engine CONFIG`.

It runs in an environment of its own and knows nothing of this project. What its cache holds is read off its block pool,
the very table that it looks prefixes up in.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from interop.peers.lines import as_rows, own_output, sent_size, serve

PLAIN = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
HYBRID = {
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "sliding_window": 64,
    "layer_types": ["sliding_attention", "full_attention"],
    "query_pre_attn_scalar": 64,
}
"""Two layers of different attention, so that the cache has two groups."""
SIZES = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 1024,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
    "tie_word_embeddings": True,
}


class Engine:
    """Generates, and says what is in its cache."""

    def __init__(self, config: dict[str, Any]) -> None:
        from vllm import LLM

        folder = Path(config["folder"])
        (folder / "config.json").write_text(json.dumps({**(HYBRID if config["hybrid"] else PLAIN), **SIZES}))
        self._llm = LLM(
            model=str(folder),
            load_format="dummy",
            skip_tokenizer_init=True,
            enforce_eager=True,
            dtype="float32",
            block_size=config["block_size"],
            num_gpu_blocks_override=config["blocks"],
            max_model_len=512,
            max_num_seqs=8,
            enable_prefix_caching=True,
            kv_events_config={
                "enable_kv_cache_events": True,
                "publisher": "zmq",
                "endpoint": config["endpoint"],
                "replay_endpoint": config["replay_endpoint"],
                "buffer_steps": config["buffer_steps"],
            },
        )
        self._core = self._llm.llm_engine.engine_core.engine_core

    def generate(self, prompts: list[list[int]], tokens: int = 1, salt: str | None = None) -> list[int]:
        """How many tokens of each prompt were in the cache already."""
        from vllm import SamplingParams

        salted = {"cache_salt": salt} if salt else {}
        inputs = [{"prompt_token_ids": prompt, **salted} for prompt in prompts]
        sampling = SamplingParams(max_tokens=tokens, temperature=0.0, ignore_eos=True, detokenize=False)
        outputs = self._llm.generate(inputs, sampling, use_tqdm=False)
        return [output.num_cached_tokens or 0 for output in outputs]

    def reset(self) -> bool:
        """Empty the prefix cache; the engine tells of it in its next step."""
        return bool(self._llm.reset_prefix_cache())

    def resident(self) -> list[list[Any]]:
        """What the pool can find by hash, with as many copies as there are blocks, in the form that events have."""
        from vllm.v1.core.kv_cache_utils import get_block_hash, get_group_id, maybe_convert_block_hash

        pool = self._core.scheduler.kv_cache_manager.block_pool
        found: Counter[tuple[str, int | None, int | bytes]] = Counter()
        for key, blocks in pool.cached_block_hash_to_block._cache.items():
            copies = len(blocks) if isinstance(blocks, dict) else 1
            found[pool.medium, get_group_id(key), maybe_convert_block_hash(get_block_hash(key))] += copies
        return as_rows(found)

    def versions(self) -> dict[str, str]:
        """What runs here."""
        import torch
        import vllm

        return {"vllm": vllm.__version__, "torch": torch.__version__}

    def sent(self) -> int:
        """Bytes of all batches on their connections, as far as the publisher still has them."""
        publisher = self._core.scheduler.kv_event_publisher
        publisher._event_queue.join()
        return sum(sent_size("", payload) for _, payload in list(publisher._buffer))


def main() -> None:
    answers = own_output()
    engine = Engine(json.loads(sys.argv[1]))
    commands = (engine.generate, engine.reset, engine.resident, engine.versions, engine.sent)
    serve({command.__name__: command for command in commands}, answers)


if __name__ == "__main__":
    main()
