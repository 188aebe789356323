-- Posts one body over and over and looks at the answers.
--   wrk ... -s put.lua URL -- BODY_FILE MARKER EVERY [NAME VALUE]...
-- Each NAME and VALUE is a header of every request.
-- Every answer's status is checked; every EVERYth answer has to hold the Lua pattern MARKER.
-- Prints one line: "result: " and a JSON object.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  marker, every = args[2], tonumber(args[3])
  for name = 4, #args, 2 do
    wrk.headers[args[name]] = args[name + 1]
  end
  -- Globals, so that done() can read them from each thread.
  answers, sampled, refused, unmarked, complaint = 0, 0, 0, 0, ""
end

function response(status, headers, body)
  answers = answers + 1
  if status ~= 200 then
    refused = refused + 1
    complaint = status .. " " .. body:sub(1, 200)
  elseif answers % every == 1 then
    sampled = sampled + 1
    if not body:find(marker) then
      unmarked = unmarked + 1
      complaint = status .. " " .. body:sub(1, 200)
    end
  end
end

local function total(name)
  local sum = 0
  for _, thread in ipairs(threads) do
    sum = sum + thread:get(name)
  end
  return sum
end

function done(summary, latency, requests)
  local text = ""
  for _, thread in ipairs(threads) do
    local said = thread:get("complaint")
    if said ~= "" then
      text = said
    end
  end
  local lost = summary.errors
  if text == "" then
    text = string.format("connect errors %d, read %d, write %d, time-outs %d", lost.connect,
      lost.read, lost.write, lost.timeout)
  end
  local fields = {
    string.format('"requests":%d', summary.requests),
    string.format('"seconds":%.6f', summary.duration / 1e6),
    string.format('"p50_ms":%.3f', latency:percentile(50) / 1e3),
    string.format('"p99_ms":%.3f', latency:percentile(99) / 1e3),
    string.format('"sampled":%d', total("sampled")),
    string.format('"refused":%d', total("refused")),
    string.format('"unmarked":%d', total("unmarked")),
    string.format('"lost":%d', lost.connect + lost.read + lost.write + lost.timeout),
    string.format('"complaint":"%s"', text:gsub('[%c"\\]', " ")),
  }
  io.write("result: {", table.concat(fields, ","), "}\n")
end
