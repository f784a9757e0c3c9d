# A client in Ruby for any actorcred server: MessagePack-RPC over TCP, login by SCRAM-SHA-256,
# calls, notifications, requests of the server, and resuming a session. It was written from
# docs/protocol.md and needs the gem msgpack.
#
#     client = Cred::Client.new("127.0.0.1", 9986)
#     client.on("moved") { |x, y| puts "at #{x}, #{y}" }
#     client.login("ann", "s3cret", "interface" => "Player")
#     client.call("move", 1, 0)
#     client.logout
# Or, to call one method:  PASSWORD=s3cret ruby client.rb 127.0.0.1 9986 ann move 1 0

require "json"
require "msgpack"
require "openssl"
require "securerandom"
require "socket"

module Cred
  # A login or call failed: `code` is the reason, `retry_after` the seconds until the next try.
  class Error < StandardError
    attr_reader :code, :retry_after

    def initialize(code, message, retry_after = nil)
      super(message)
      @code, @retry_after = code, retry_after
    end
  end

  # One connection. Handlers run on the reading thread, so they must not call and wait.
  class Client
    attr_reader :avatar_id, :session, :limits, :token, :notifications, :goodbye

    def initialize(host, port)
      @socket = TCPSocket.new(host, port)
      @lock = Mutex.new
      @last_id = @notifications = 0
      @waiting, @handlers = {}, {}
      @reader = Thread.new { read }
    end

    # Run a block at each notification or request of this name. The block's value is the answer
    # to a request.
    def on(name, &block)
      @handlers[name] = block
    end

    # Call a method and wait for its result.
    def call(method, *params)
      answer = Queue.new
      @lock.synchronize do
        raise lost unless @waiting
        @waiting[@last_id += 1] = answer
        @socket.write([0, @last_id, method, params].to_msgpack)
      end
      error, result = answer.pop
      raise error if error
      result
    end

    # Log in; `options` are those of cred.login.
    def login(name, password, options = {})
      nonce = SecureRandom.alphanumeric(24)
      first = "n=#{name.gsub("=", "=3D").gsub(",", "=2C")},r=#{nonce}"
      challenge = call("cred.login", "SCRAM-SHA-256", "n,,#{first}".b, options).fetch("challenge")
      proof, signature = prove(challenge, first, nonce, password)
      answer = call("cred.respond", proof.b)
      unless answer["data"] == "v=#{signature}"
        raise Error.new("protocol-error", "not the right server")
      end
      enter(answer)
    end

    # Resume the session of another client, whose connection was lost. Returns whether no
    # notification was lost.
    def resume(lost)
      answer = enter(call("cred.resume", lost.token, lost.notifications))
      @lock.synchronize { @notifications += answer["notifications"] } # some arrived meanwhile
      !answer["refresh"]
    end

    def logout
      call("cred.logout")
      @reader.join
    end

    # Close without a logout: the session can be resumed.
    def close
      @socket.shutdown && @reader.join
    end

    private

    def enter(answer)
      @avatar_id, @session, @limits, @token =
        answer.values_at("avatar_id", "session", "limits", "token")
      answer
    end

    def prove(challenge, first, nonce, password)
      fields = challenge.split(",").to_h { |field| field.split("=", 2) }
      unless fields["r"].start_with?(nonce) && fields["i"].to_i >= 4096
        raise Error.new("protocol-error", "a bad challenge")
      end
      normalized, salt = password.unicode_normalize(:nfkc), fields["s"].unpack1("m")
      salted = OpenSSL::KDF.pbkdf2_hmac(normalized, salt: salt, iterations: fields["i"].to_i,
                                        length: 32, hash: "SHA256")
      last = "c=biws,r=#{fields["r"]}"
      signed = "#{first},#{challenge},#{last}"
      hmac = ->(key, data) { OpenSSL::HMAC.digest("SHA256", key, data) }
      key = hmac.(salted, "Client Key")
      mask = hmac.(OpenSSL::Digest::SHA256.digest(key), signed)
      proof = key.bytes.zip(mask.bytes).map { |a, b| a ^ b }.pack("C*")
      ["#{last},p=#{[proof].pack("m0")}", [hmac.(hmac.(salted, "Server Key"), signed)].pack("m0")]
    end

    def read
      MessagePack::Unpacker.new(@socket).each { |message| receive(*message) }
    rescue SystemCallError, IOError # the goodbye, if there was one, has the reason
    ensure
      waiting = @lock.synchronize { @waiting.tap { @waiting = nil } }
      waiting.each_value { |answer| answer << [lost, nil] }
      @socket.close
    end

    def receive(kind, *rest)
      send({ 0 => :reply, 1 => :answered, 2 => :notified }.fetch(kind), *rest)
    end

    def answered(id, error, result)
      error &&= Error.new(*error.values_at("code", "message", "retry_after"))
      @lock.synchronize { @waiting.delete(id) }&.push([error, result])
    end

    def notified(name, params)
      return @goodbye = params.first if name == "cred.goodbye"
      @lock.synchronize { @notifications += 1 }
      @handlers[name]&.call(*params)
    end

    def reply(id, method, params)
      handler = @handlers[method]
      error = { "code" => "unknown-method", "message" => "no method #{method}" } unless handler
      result = handler&.call(*params)
      @lock.synchronize { @socket.write([1, id, error, result].to_msgpack) }
    end

    def lost
      goodbye = @goodbye || { "code" => "lost", "message" => "the connection was lost" }
      Error.new(*goodbye.values_at("code", "message"))
    end
  end
end

if __FILE__ == $PROGRAM_NAME
  host, port, name, method, *params = ARGV
  client = Cred::Client.new(host, port)
  client.login(name, ENV.fetch("PASSWORD"))
  puts JSON.generate(client.call(method, *params.map { |param| JSON.parse(param) }))
  client.logout
end
