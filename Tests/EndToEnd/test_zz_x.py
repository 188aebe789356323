import random, time, os
from collections import Counter
import pytest
from test_opensearch_kills import *
from search_load import *
pytest_plugins = ["search_fixtures"]
@pytest.mark.parametrize("seed", range(4))
def test_x(start_search, own_osmem, seed):
    chance = random.Random(seed)
    with StrictS3() as store:
        store.fault = lambda n: chance.choice([None, None, DROP, 503])
        search = start_search(osmem=own_osmem, port=free_port(), environment=store.environment)
        with BulkFaults(own_osmem) as faults:
            faults.plan = randomly(0.4, seed, answer(503), refuse_some(0.3, seed, BUSY))
            flow = search.flow(faults, hints=HINTS, retry=0, bucket=StrictBucket(store,"b"))
            own_osmem.create_index(flow.index, **MAPPING)
            with SearchLoad(search.hydrant, flow.stream, records=20000, pace=4) as load:
                for m in (.1,.25,.4,.55,.7,.9):
                    wait_until(lambda: load.has_put(m), "x", timeout=60, pause=0.005)
                    time.sleep(chance.uniform(0,.05)); search.hydrant.sigkill(); search.hydrant.start()
                wait_until(lambda: load.is_over, "p", timeout=90)
            store.fault = lambda _: None
            def done():
                d=set(e["n"] for e in flow.documents()); f=Counter(number_in(e.raw) for e in flow.failures())
                return load.acknowledged <= d | f.keys()
            try: wait_until(done,"all",timeout=60,pause=.5)
            except WaitedTooLong: pass
            d=set(e["n"] for e in flow.documents()); f=Counter(number_in(e.raw) for e in flow.failures())
            print("RESULT", seed, len(d), len(f), "both", len(d & f.keys()), "twice", sum(c>1 for c in f.values()), "missing", len(load.acknowledged - d - f.keys()), "keys", len(flow.keys()))
