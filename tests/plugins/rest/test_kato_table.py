"""Every row of KATO's REST table, whatever is behind the gateway."""

import pytest

OBSERVATION = {"strings": ["b", "a"], "vectors": [], "emotives": {}}


def learned(web):
    for word in "ab":
        web.post("/p1/observe", {"strings": [word], "vectors": [], "emotives": {}})
    return web.post("/p1/learn").json["message"]


def without_time(body):
    assert isinstance(body.pop("time_stamp"), float)
    return body


def test_the_gateway_answers_pings_of_its_own(web):
    """GET /kato-api/ping."""
    answer = web.get("/kato-api/ping")
    assert (answer.status, answer.json) == (200, {"status": "okay"})


def test_connect_gives_the_genome_with_its_elements(web, processor):
    """GET /connect; the fixtures take the processor's id from it."""
    body = web.get("/connect").json
    node = {"id": "p1", "name": "Small", "classifier": "CVC"}
    assert body == {
        "status": "okay",
        "message": "connected",
        "genome": {**processor.genes, "elements": {"nodes": [{"data": node}]}},
    }


def test_connect_keeps_elements_and_classifier_of_the_genome(web, processor):
    """What the genome has is not made up anew."""
    processor.genes["classifier"] = "DVC"
    assert web.get("/connect").json["genome"]["elements"]["nodes"][0]["data"]["classifier"] == "DVC"
    processor.genes["elements"] = {"nodes": []}
    assert web.get("/connect").json["genome"]["elements"] == {"nodes": []}


def test_connect_asks_for_the_id_that_a_genome_lacks(web, processor):
    """A MANIFEST needs no id."""
    processor.genes = {"recall_threshold": 0.2}
    genome = web.get("/connect").json["genome"]
    assert (genome["id"], genome["name"]) == ("p1", "Small")


def test_ping_names_the_processor(web):
    """GET /p/ping."""
    body = without_time(web.get("/p1/ping").json)
    assert body == {"id": "p1", "interval": 0, "status": "okay", "message": "Small", "processor": "Small"}


def test_status_holds_the_whole_answer_and_the_processors_own_id(web):
    """GET /p/status."""
    body = web.get("/anything/status").json
    inner = body.pop("message")
    assert inner == {"status": "okay", "id": "p1", "interval": 0, "time_stamp": body["time_stamp"], "message": "Small"}
    assert without_time(body) == {"status": "okay", "processor": "Small", "id": "p1", "interval": 0}


@pytest.mark.parametrize("path", ["short-term-memory", "working-memory"])
def test_the_short_term_memory_comes_with_time_and_interval(web, path):
    """GET /p/short-term-memory, and era A's name for it."""
    web.post("/p1/observe", OBSERVATION)
    assert without_time(web.get(f"/p1/{path}").json) == {"message": [["a", "b"]], "interval": 1}


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_predictions_are_a_list_with_prefixed_names(web, verb):
    """GET or POST /p/predictions; the body is not read."""
    name = learned(web)
    answer = web.request(verb, "/p1/predictions", None if verb == "GET" else "{not json")
    assert answer.json == {"message": [{"name": name, "frequency": 1}]}


def test_predictions_of_one_observation_are_asked_for_in_the_query(web):
    """`unique_id` in the query."""
    name = learned(web)
    assert [found["name"] for found in web.get("/p1/predictions?unique_id=known").json["message"]] == [name]
    assert web.get("/p1/predictions?unique_id=unknown").json == {"message": []}


def test_percept_data_is_the_last_observation(web):
    """GET /p/percept-data."""
    web.post("/p1/observe", OBSERVATION)
    assert web.get("/p1/percept-data").json == {"message": OBSERVATION}


def test_cognition_data_has_the_memory_under_both_names(web):
    """GET /p/cognition-data."""
    web.post("/p1/observe", OBSERVATION)
    message = web.get("/p1/cognition-data").json["message"]
    assert message["short_term_memory"] == message["working_memory"] == [["a", "b"]]
    assert message["command"] == ""


def test_a_gene_is_read_by_name(web):
    """GET /p/gene/NAME."""
    body = {"gene_name": "recall_threshold", "gene_value": 0.1, "message": 0.1}
    assert web.get("/p1/gene/recall_threshold").json == body


def test_an_unknown_gene_is_a_404(web):
    """It was a 200 with null."""
    answer = web.get("/p1/gene/nonsense")
    assert answer.status == 404
    assert answer.json == {"status": "error", "message": "Unknown gene: nonsense", "code": "not_found"}


@pytest.mark.parametrize("separator", ["|", "%7C", "%7c"])
def test_a_model_is_read_by_its_encoded_name(web, separator):
    """GET /p/model/ID."""
    name = learned(web).removeprefix("MODEL|")
    model = {"name": name, "sequence": [["a"], ["b"]], "frequency": 1, "emotives": {}}
    assert web.get(f"/p1/model/MODEL{separator}{name}").json == {"message": model}
    assert web.get(f"/p1/model/{name}").json == {"message": model}


def test_an_unknown_model_is_a_404_named_as_asked(web):
    """Prefix and all."""
    answer = web.get("/p1/model/MODEL%7Cnone")
    assert answer.status == 404
    assert answer.json == {"status": "error", "message": "Model MODEL|none not found", "code": "not_found"}


def test_observe_answers_with_a_nested_status(web):
    """POST /p/observe."""
    body = without_time(web.post("/p1/observe", OBSERVATION).json)
    inner = {"status": "observed", "auto_learned_model": None}
    assert body == {"id": "p1", "interval": 1, "status": "okay", "message": inner}


def test_observe_tells_what_was_learned_by_itself(web, processor):
    """`auto_learned_model`."""
    processor.genes["max_sequence_length"] = 2
    web.post("/p1/observe", OBSERVATION)
    learned_model = web.post("/p1/observe", OBSERVATION).json["message"]["auto_learned_model"]
    assert learned_model == f"MODEL|{next(iter(processor.models))}"


def test_observe_makes_up_an_id_where_none_came(web, processor):
    """`rest-…`, a new one each time; one that came is kept."""
    for unique_id in ({}, {"unique_id": None}, {"unique_id": "mine"}):
        web.post("/p1/observe", {**OBSERVATION, **unique_id})
    first, second, third = [seen["unique_id"] for seen in processor.seen]
    assert first.startswith("rest-")
    assert second.startswith("rest-")
    assert first != second
    assert third == "mine"


def test_observe_takes_its_fields_under_data(web, processor):
    """`{"data": {…}}`."""
    answer = web.post("/p1/observe", {"data": OBSERVATION, "unique_id": "outside"})
    assert answer.json["message"]["status"] == "observed"
    assert processor.seen[0] == {**OBSERVATION, "unique_id": "outside"}


def test_observe_ignores_data_where_a_field_is_at_the_top(web, processor):
    """Any of the three is enough."""
    web.post("/p1/observe", {**OBSERVATION, "data": {"strings": ["other"], "vectors": [], "emotives": {}}})
    assert processor.seen[0]["strings"] == ["b", "a"]
    assert "data" not in processor.seen[0]
    assert web.post("/p1/observe", {"emotives": {}, "data": OBSERVATION}).status == 400


SEQUENCE = {"observations": [{"strings": ["b", "a"]}, {"strings": ["c"], "unique_id": "mine"}]}


@pytest.mark.parametrize("body", [SEQUENCE, {"data": SEQUENCE}, {**SEQUENCE, "data": {"observations": 5}}])
def test_a_sequence_is_observed_by_one_request(web, processor, body):
    """POST /p/observe-sequence; `data` is for those who wrap everything in it."""
    answer = without_time(web.post("/any/observe-sequence", body).json)
    first, second = answer["message"].pop("results")
    assert answer == {
        "id": "any",
        "interval": 2,
        "status": "okay",
        "message": {"status": "observed", "auto_learned_models": [], "final_learned_model": ""},
    }
    assert second == {"unique_id": "mine", "interval": 2, "auto_learned_model": None}
    assert first["unique_id"]
    assert processor.stm == [["a", "b"], ["c"]]


def test_a_sequence_tells_what_was_learned(web, processor):
    """Of each, of all, and on the way."""
    processor.genes["max_sequence_length"] = 2
    observations = [{"strings": [word]} for word in "abcde"]
    body = {"observations": observations, "learn_at_end": True}
    message = web.post("/p1/observe-sequence", body).json["message"]
    along = [result["auto_learned_model"] for result in message["results"]]
    assert [bool(name) for name in along] == [False, True, False, True, False]
    assert message["auto_learned_models"] == [along[1], along[3]]
    assert message["final_learned_model"] == ""
    processor.genes["max_sequence_length"] = 0
    message = web.post("/p1/observe-sequence", body).json["message"]
    assert message["final_learned_model"].startswith("MODEL|")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "observations must be a list"),
        ({"observations": {}}, "observations must be a list"),
        ({"observations": [{"strings": ["a"]}, {"strings": "b"}]}, "observations[1]: strings must be a list of strings"),
        ({"observations": [], "learn_at_end": "yes"}, "learn_at_end must be true or false"),
        ({"data": []}, "data must be a JSON object"),
    ],
)
def test_a_bad_sequence_is_a_400_that_says_where(web, processor, body, said):
    """And nothing of it is observed."""
    answer = web.post("/p1/observe-sequence", body)
    assert (answer.status, said in answer.json["message"]) == (400, True)
    assert processor.seen == []


def test_learn_says_the_models_name_whatever_is_behind(web, processor):
    """POST /p/learn; basic servers say `learning-called` themselves."""
    for word in "ab":
        web.post("/p1/observe", {"strings": [word], "vectors": [], "emotives": {}})
    body = without_time(web.post("/p1/learn", {"ignored": True}).json)
    assert body == {"id": "p1", "interval": 2, "status": "okay", "message": f"MODEL|{next(iter(processor.models))}"}


def test_learning_nothing_says_so(web):
    """An empty string."""
    assert web.post("/p1/learn").json["message"] == ""


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("clear-all-memory", "all-cleared"),
        ("clear-short-term-memory", "stm-cleared"),
        ("short-term-memory/clear", "stm-cleared"),
        ("clear-working-memory", "wm-cleared"),
        ("working-memory/clear", "wm-cleared"),
    ],
)
def test_clears_speak_the_words_of_their_paths_era(web, processor, path, word):
    """Whatever transport is behind."""
    web.post("/p1/observe", OBSERVATION)
    interval = 0 if path == "clear-all-memory" else 1
    assert without_time(web.post(f"/p1/{path}", {}).json) == {
        "id": "p1",
        "interval": interval,
        "status": "okay",
        "message": word,
    }
    assert processor.stm == []


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"recall_threshold": 0.6, "max_sequence_length": 3}},
        {"gene_name": "recall_threshold", "gene_value": 0.6},
        {"gene_name": "nonsense", "gene_value": 1, "data": {"recall_threshold": 0.6}},
    ],
)
def test_genes_are_changed_in_either_form(web, processor, body):
    """POST /p/genes/change; `data` wins."""
    assert web.post("/p1/genes/change", body).json == {"id": "p1", "status": "okay", "message": "updated-genes"}
    assert processor.genes["recall_threshold"] == 0.6


def test_the_first_gene_refused_ends_the_change(web, processor):
    """In order: what came before stays changed."""
    answer = web.post("/p1/genes/change", {"data": {"recall_threshold": 0.6, "no": 1, "max_sequence_length": 9}})
    assert (answer.status, answer.json["message"]) == (404, "Unknown gene: no")
    assert processor.genes["recall_threshold"] == 0.6
    assert processor.genes["max_sequence_length"] == 0


def test_answers_repeat_the_id_of_the_path(web):
    """The fixtures of the original use any."""
    assert web.get("/some-test_17/ping").json["id"] == "some-test_17"


@pytest.mark.parametrize("path", ["/kato-api/ping", "/connect", "/p1/ping", "/p1/gene/name", "/p1/predictions"])
def test_a_query_string_is_allowed_everywhere(web, path):
    """The original answered 404."""
    assert web.get(f"{path}?x=1&y").status == 200


def test_names_are_decoded_once(web, processor):
    """An encoded slash belongs to the name, an encoded percent sign stays one."""
    processor.genes["50%25"] = "percent"
    processor.genes["ключ"] = "unicode"
    assert web.get("/p1/gene/a%2Fb").json == {"gene_name": "a/b", "gene_value": "slash", "message": "slash"}
    assert web.get("/p1/gene/50%2525").json["message"] == "percent"
    assert web.get("/p1/gene/%D0%BA%D0%BB%D1%8E%D1%87").json["message"] == "unicode"
    assert web.get("/a%2Fb/ping").json["id"] == "a/b"
    assert web.get("/p1/gene/a/b").status == 404


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["observe", "observe-sequence", "learn", "genes/change"])
@pytest.mark.parametrize("body", ["{not json", "[1,", "NaN", b"\xff\xfe"])
def test_a_body_that_is_not_json_is_a_500_where_one_is_read(web, path, body):
    """KATO's tests ask for it."""
    answer = web.request("POST", f"/p1/{path}", body)
    assert answer.status == 500
    assert answer.json["status"] == "error"
    assert "not JSON" in answer.json["message"]


@pytest.mark.parametrize(("path", "status"), [("observe", 400), ("genes/change", 400), ("learn", 200)])
@pytest.mark.parametrize("body", [None, "", "  "])
def test_an_empty_body_is_a_400_except_for_learn(web, path, status, body):
    """Which needs none."""
    assert web.request("POST", f"/p1/{path}", body).status == status


@pytest.mark.parametrize("path", ["clear-all-memory", "clear-short-term-memory", "working-memory/clear", "predictions"])
def test_bodies_of_other_paths_are_ignored(web, path):
    """Whatever they are; the connection goes on."""
    assert web.request("POST", f"/p1/{path}", "{not json" * 100_000).status == 200
    assert web.get("/p1/ping").status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strings", "text"),
        ("strings", [1]),
        ("strings", None),
        ("vectors", {}),
        ("vectors", [1.0]),
        ("vectors", [["x"]]),
        ("vectors", [[True]]),
        ("emotives", []),
        ("emotives", {"joy": "much"}),
        ("unique_id", ""),
        ("unique_id", 5),
    ],
)
def test_a_field_of_a_wrong_type_is_a_400_that_names_it(web, processor, field, value):
    """And nothing is observed."""
    answer = web.post("/p1/observe", {**OBSERVATION, field: value})
    assert answer.status == 400
    assert field in answer.json["message"]
    assert answer.json["code"] == "invalid_params"
    assert processor.seen == []


@pytest.mark.parametrize("field", ["strings", "vectors", "emotives"])
def test_a_field_left_out_is_a_400_that_names_it(web, field):
    """All three are asked for."""
    answer = web.post("/p1/observe", {name: value for name, value in OBSERVATION.items() if name != field})
    assert answer.status == 400
    assert f"{field} is missing" in answer.json["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "JSON object"),
        (5, "JSON object"),
        ({"data": []}, "data"),
        ({}, "gene_name"),
        ({"gene_name": "recall_threshold"}, "gene_value"),
        ({"gene_name": 5, "gene_value": 1}, "gene_name"),
        ({"data": {"recall_threshold": None}}, "recall_threshold"),
    ],
)
def test_a_bad_change_of_genes_is_a_400_that_names_the_field(web, body, named):
    """Before anything is sent."""
    answer = web.post("/p1/genes/change", body)
    assert answer.status == 400
    assert named in answer.json["message"]


@pytest.mark.parametrize("body", [[], "text", {"data": "text"}, {"data": None}])
def test_an_observation_that_is_no_map_is_a_400(web, body):
    """At the top and under data."""
    assert web.post("/p1/observe", body).status == 400
