# A client for Godot 4: add it to a scene as a node. It was not run here; client.mjs sends the same
# lines, and is run by the tests.
#
#     var client := preload("res://player.gd").new()
#     add_child(client)
#     client.notified.connect(func(method, params): print(method, params))
#     await client.open("wss://game.example/rpc/socket")
#     await client.log_in("ann", "s3cret")
#     var moved = await client.request("move", ["east", 2])
#     print(moved.result if moved.error == null else moved.error)
extends Node

## The server has notified the client.
signal notified(method: String, params: Array)
## The connection has ended; the reason is a dictionary of "code" and "message".
signal closed(reason: Dictionary)
signal _opened

class Answer:
	signal done
	var error: Variant = null
	var result: Variant = null

var _socket := WebSocketPeer.new()
var _last_id := 0
var _waiting := {}
var _goodbye := {"code": "lost", "message": "the connection was lost"}
var _is_open := false


func _ready() -> void:
	set_process(false)


func open(url: String) -> Error:
	_socket.supported_protocols = PackedStringArray(["actorcred.json"])
	_socket.inbound_buffer_size = 1 << 18  # a message has 64 KB at most
	var error := _socket.connect_to_url(url)
	if error != OK:
		return error
	set_process(true)
	await _opened
	return OK if _is_open else ERR_CANT_CONNECT


func log_in(user: String, password: String) -> Answer:
	var secret := PackedByteArray([0])  # a string of Godot cannot have a NUL
	secret.append_array(user.to_utf8_buffer())
	secret.append(0)
	secret.append_array(password.to_utf8_buffer())
	var options := {"interface": "Player", "resume": false}
	# --> [0,1,"cred.login",["PLAIN","AGFubgBzM2NyZXQ=",{"interface":"Player","resume":false}]]
	return await request("cred.login", ["PLAIN", Marshalls.raw_to_base64(secret), options])


func play() -> void:
	# --> [0,2,"move",["east",2]]
	await request("move", ["east", 2])
	# --> [0,3,"say",["hello"]]
	await request("say", ["hello"])


func log_out() -> void:
	# --> [0,4,"cred.logout",[]]
	await request("cred.logout")


## Call a method; await the answer, whose `error` is null or has "code" and "message".
func request(method: String, params: Array = []) -> Answer:
	var answer := Answer.new()
	if not _is_open:
		answer.error = _goodbye
		return answer
	_last_id += 1
	_waiting[_last_id] = answer
	_send([0, _last_id, method, params])
	await answer.done
	return answer


func _process(_delta: float) -> void:
	_socket.poll()
	var state := _socket.get_ready_state()
	if state == WebSocketPeer.STATE_OPEN and not _is_open:
		_is_open = true
		_opened.emit()
	while _socket.get_available_packet_count() > 0:
		_receive(JSON.parse_string(_socket.get_packet().get_string_from_utf8()))
	if state == WebSocketPeer.STATE_CLOSED:
		_end()


func _send(message: Array) -> void:
	_socket.send_text(JSON.stringify(message))


func _receive(message: Array) -> void:
	match int(message[0]):  # numbers of JSON are floats in Godot
		0:
			var error := {"code": "unknown-method", "message": "no such method"}
			_send([1, int(message[1]), error, null])
		1:
			var answer: Answer = _waiting[int(message[1])]
			_waiting.erase(int(message[1]))
			answer.error = message[2]
			answer.result = message[3]
			answer.done.emit()
		2:
			if message[1] == "cred.goodbye":
				_goodbye = message[2][0]
			else:
				notified.emit(message[1], message[2])


func _end() -> void:
	set_process(false)
	if not _is_open:
		_opened.emit()
	_is_open = false
	for answer: Answer in _waiting.values():
		answer.error = _goodbye
		answer.done.emit()
	_waiting.clear()
	closed.emit(_goodbye)
