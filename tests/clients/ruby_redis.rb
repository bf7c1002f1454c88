# Ruby's redis gem as Debian has it: what a session store does with it, and two threads that race.
# Usage: ruby ruby_redis.rb HOST PORT
require "redis"
require "securerandom"

host, port = ARGV
redis = Redis.new(host: host, port: port.to_i, id: "gs-test")

def same(got, wanted, what)
  return if got == wanted
  warn "#{what}: got #{got.inspect}, wanted #{wanted.inspect}"
  exit 1
end

key = "ruby:#{SecureRandom.hex(16)}"
bytes = Marshal.dump({ "user" => "ada", "n" => (0..9).to_a })
same redis.ping, "PONG", "ping"
same redis.setex(key, 600, bytes), "OK", "create"
same Marshal.load(redis.get(key)), { "user" => "ada", "n" => (0..9).to_a }, "read"
same redis.expire(key, 100), true, "touch"
same redis.ttl(key).between?(50, 100), true, "ttl"
same redis.set(key, "second", ex: 600, nx: true), false, "set nx"
same redis.set(key, "second", ex: 600, xx: true), true, "update"
same redis.rename(key, "#{key}:new"), "OK", "regenerate"
same redis.exists?(key), false, "the old id is gone"
same redis.scan_each(match: "#{key}*").to_a, ["#{key}:new"], "list"
same redis.mapped_mget("#{key}:new", key), { "#{key}:new" => "second", key => nil }, "mget"
same redis.multi { |m| m.set(key, "1"); m.expire(key, 60); m.get(key) }, ["OK", true, "1"], "multi"
same redis.mapped_hmset("#{key}:h", { "a" => "1", "b" => "2" }), "OK", "hmset"
same redis.hgetall("#{key}:h"), { "a" => "1", "b" => "2" }, "hgetall"
workers = 2.times.map do
  Thread.new do
    own = Redis.new(host: host, port: port.to_i)
    50.times do
      loop do
        done = own.watch(key) do
          n = own.get(key).to_i
          own.multi { |m| m.set(key, n + 1) }
        end
        break if done
      end
    end
    own.close
  end
end
workers.each(&:join)
same redis.get(key), "101", "two workers lose nothing"
heard = Queue.new
listener = Thread.new do
  Redis.new(host: host, port: port.to_i).subscribe_with_timeout(20, "#{key}:news") do |on|
    on.subscribe { heard << "ready" }
    on.message { |_, text| heard << text; Thread.exit }
  end
end
same heard.pop, "ready", "subscribed"
same redis.publish("#{key}:news", "logout"), 1, "publish"
same heard.pop, "logout", "heard"
listener.join
same redis.del(key, "#{key}:new", "#{key}:h"), 3, "destroy"
same redis.get(key), nil, "gone"
puts "OK"
