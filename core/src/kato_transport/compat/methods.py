"""KATO's methods as its clients have them, in both vocabularies, on top of `call`.

The wire names are those that the original's servers of one vocabulary all know, basic and improved. An answer is read as
either of them writes it: its list or map is under `data`, or under a name of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar, cast

Answer = dict[str, Any]
T = TypeVar("T")


class KatoMethods(ABC):
    """One method per row of KATO's table."""

    @abstractmethod
    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Answer:
        """The answer to a method by its wire name."""

    def get_name(self) -> Answer:
        """Id, interval, time stamp, and the name as `message`."""
        return self.call("get_name")

    def observe(self, observation_data: Mapping[str, Any]) -> Answer:
        """Send an observation: strings, vectors, emotives and unique_id."""
        return self.call("observe", observation_data)

    def learn(self, learning_flag: bool = True, manual_flag: bool = False, auto_act_flag: bool = False) -> Answer:
        """Learn the short-term memory; the flags travel, and no server minds them."""
        flags = {"learning_flag": learning_flag, "manual_flag": manual_flag, "auto_act_flag": auto_act_flag}
        return self.call("learn", flags)

    def get_predictions(self, unique_id: Mapping[str, Any] | str | None = None) -> list[Answer]:
        """The last predictions, or those made at one observation: `{"unique_id": id}`."""
        return _data(self.call("get_predictions", {"unique_id": unique_id} if unique_id else None), "predictions", [])

    def clear_all_memory(self) -> Answer:
        """Forget everything but the genes."""
        return self.call("clear_all_memory")

    def clear_short_term_memory(self) -> Answer:
        """Forget the short-term memory."""
        return self.call("clear_short_term_memory")

    def clear_working_memory(self) -> Answer:
        """`clear_short_term_memory`, in the older vocabulary."""
        return self.call("clear_working_memory")

    def get_short_term_memory(self) -> list[Any]:
        """The events of the short-term memory."""
        return _data(self.call("get_stm"), "short_term_memory", [])

    def get_working_memory(self) -> list[Any]:
        """`get_short_term_memory`, in the older vocabulary."""
        return _data(self.call("get_wm"), "working_memory", [])

    def get_percept_data(self) -> Answer:
        """The last observation."""
        return _data(self.call("get_percept_data"), "percept_data", {})

    def get_cognition_data(self) -> Answer:
        """Predictions, emotives, symbols and short-term memory."""
        return _data(self.call("get_cognition_data"), "cognition_data", {})

    def get_gene(self, gene_name: str) -> Any:
        """A gene's value; None for an unknown one."""
        return self.call("get_gene", {"gene_name": gene_name}).get("gene_value")

    def change_gene(self, gene_name: str, gene_value: Any) -> Answer:
        """Set a gene."""
        return self.call("gene_change", {"gene_name": gene_name, "gene_value": gene_value})

    def get_model(self, model_id: str) -> Answer:
        """The whole answer, with the model under `model`."""
        return self.call("get_model", {"model_id": model_id})

    def get_genome(self) -> Answer:
        """The genome itself."""
        answer = self.call("get_genome")
        return answer["genome"] if "status" in answer and "genome" in answer else answer

    clear_all = clear_all_memory
    clear_stm = clear_short_term_memory
    clear_wm = clear_working_memory
    get_stm = get_short_term_memory
    get_wm = get_working_memory
    gene_change = change_gene


def _data(answer: Answer, name: str, default: T) -> T:
    return cast("T", answer.get("data", answer.get(name, default)))
