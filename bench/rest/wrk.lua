-- A POST of the body in the environment, if there is one; and the summary as one line of JSON.

local body = os.getenv("BENCH_BODY")
if body and body ~= "" then
   wrk.method = "POST"
   wrk.body = body
   wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %f, "p50_us": %d, "p99_us": %d, "refused": %d, "timeouts": %d, "errors": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
      e.status, e.timeout, e.connect + e.read + e.write))
end
