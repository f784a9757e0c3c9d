# What tests/rpc/test_other_languages.py has the Ruby client do; prints what it saw as JSON.
# It resumes at a second server, if there is one.
require "json"
require_relative "../../examples/clients/client"

host, port = ARGV
elsewhere = ARGV.last(2)

def code
  yield
rescue Cred::Error => e
  [e.code, e.message, e.retry_after]
end

heard, all = [], Queue.new
note = lambda do |name, *params|
  heard << [name, *params]
  all << true if params == [2] || name == "more"
end

client = Cred::Client.new(host, port)
%w[welcome tick].each { |name| client.on(name) { |*params| note.(name, *params) } }
client.on("times seven") { |number| number * 7 }
seen = { wrong: code { client.login("ann", "wrong") }, early: code { client.call("move", 1) } }
client.login("ann", "s3cret", "interface" => "Player", "client" => ["ruby", "1"])
seen[:avatar_id] = client.avatar_id
seen[:moved] = client.call("move", 3, 4)
client.call("tell", 3)
all.pop
seen[:heard] = heard.dup
seen[:counted] = client.notifications
seen[:asked] = client.call("ask_client", "times seven")
seen[:unasked] = code { client.call("ask_client", "nonsense") }
seen[:failed] = code { client.call("fail", "politely") }
seen[:many] = 20.times.map { |n| Thread.new { client.call("echo", n) } }.map(&:value)
client.close

again = Cred::Client.new(*elsewhere)
again.on("more") { |*params| note.("more", *params) }
seen[:whole] = again.resume(client)
again.call("tell", 1, "more")
all.pop
seen[:resumed] = [again.session == client.session, again.notifications, again.call("move", 1)]
seen[:used] = code { Cred::Client.new(host, port).resume(client) }
again.logout
seen[:goodbye] = again.goodbye
seen[:after] = code { again.call("move", 1) }
puts JSON.generate(seen)
