// A client for Unity 2021 or newer, with the package com.unity.nuget.newtonsoft-json. It was not
// run here; client.mjs sends the same lines, and is run by the tests. On WebGL, where Unity has no
// ClientWebSocket, use a plugin for WebSockets in its place.
//
//     var client = new Player();
//     client.Notified += (method, parameters) => Debug.Log($"{method} {parameters}");
//     await client.Open("wss://game.example/rpc/socket");
//     await client.LogIn("ann", "s3cret");
//     var place = await client.Request("move", "east", 2);
//     Debug.Log((float)place["x"]);
using System;
using System.Collections.Generic;
using System.IO;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Newtonsoft.Json;
using Newtonsoft.Json.Linq;

/// <summary>A login or a call failed; Code says why.</summary>
public class CredException : Exception
{
    public readonly string Code;

    public CredException(JToken error) : base((string)error["message"])
    {
        Code = (string)error["code"];
    }
}

/// <summary>A connection. Call it on Unity's main thread, where its events come, too.</summary>
public class Player : IDisposable
{
    const int Largest = 65536; // bytes of a message

    public event Action<string, JArray> Notified;
    public event Action<JToken> Closed;

    readonly ClientWebSocket socket = new ClientWebSocket();
    readonly SemaphoreSlim turn = new SemaphoreSlim(1);
    readonly Dictionary<int, TaskCompletionSource<JToken>> waiting =
        new Dictionary<int, TaskCompletionSource<JToken>>();
    JToken goodbye = JObject.Parse("{\"code\":\"lost\",\"message\":\"the connection was lost\"}");
    int lastId;

    public async Task Open(string url)
    {
        socket.Options.AddSubProtocol("actorcred.json");
        await socket.ConnectAsync(new Uri(url), CancellationToken.None);
        _ = Listen();
    }

    public Task<JToken> LogIn(string user, string password)
    {
        var secret = Convert.ToBase64String(Encoding.UTF8.GetBytes($"\0{user}\0{password}"));
        var options = new { @interface = "Player", resume = false };
        // --> [0,1,"cred.login",["PLAIN","AGFubgBzM2NyZXQ=",{"interface":"Player","resume":false}]]
        return Request("cred.login", "PLAIN", secret, options);
    }

    public async Task Play()
    {
        // --> [0,2,"move",["east",2]]
        await Request("move", "east", 2);
        // --> [0,3,"say",["hello"]]
        await Request("say", "hello");
    }

    public Task<JToken> LogOut()
    {
        // --> [0,4,"cred.logout",[]]
        return Request("cred.logout");
    }

    /// <summary>Call a method.</summary>
    /// <exception cref="CredException">if it fails, or the connection is lost.</exception>
    public async Task<JToken> Request(string method, params object[] parameters)
    {
        if (socket.State != WebSocketState.Open) throw new CredException(goodbye);
        var id = ++lastId;
        var answer = new TaskCompletionSource<JToken>();
        waiting[id] = answer;
        await Send(new object[] { 0, id, method, parameters });
        return await answer.Task;
    }

    public void Dispose() => socket.Dispose();

    async Task Send(object message)
    {
        var data = Encoding.UTF8.GetBytes(JsonConvert.SerializeObject(message));
        await turn.WaitAsync(); // one message at a time
        try
        {
            await socket.SendAsync(
                new ArraySegment<byte>(data), WebSocketMessageType.Text, true, CancellationToken.None);
        }
        finally
        {
            turn.Release();
        }
    }

    async Task Listen()
    {
        try
        {
            while (await Receive() is string line) await Take(JArray.Parse(line));
        }
        catch (WebSocketException)
        {
            // The connection was lost; what waits is told so below.
        }
        finally
        {
            foreach (var answer in waiting.Values) answer.TrySetException(new CredException(goodbye));
            waiting.Clear();
            Closed?.Invoke(goodbye);
        }
    }

    async Task<string> Receive()
    {
        var buffer = new byte[4096];
        using var message = new MemoryStream();
        while (true)
        {
            var part = await socket.ReceiveAsync(new ArraySegment<byte>(buffer), CancellationToken.None);
            if (part.MessageType == WebSocketMessageType.Close) return null;
            message.Write(buffer, 0, part.Count);
            if (message.Length > Largest) throw new WebSocketException("the message is too long");
            if (part.EndOfMessage) return Encoding.UTF8.GetString(message.ToArray());
        }
    }

    async Task Take(JArray message)
    {
        switch ((int)message[0])
        {
            case 0:
                var unknown = new { code = "unknown-method", message = "no such method" };
                await Send(new object[] { 1, (int)message[1], unknown, null });
                break;
            case 1:
                var id = (int)message[1];
                var answer = waiting[id];
                waiting.Remove(id);
                if (message[2].Type == JTokenType.Null) answer.TrySetResult(message[3]);
                else answer.TrySetException(new CredException(message[2]));
                break;
            case 2 when (string)message[1] == "cred.goodbye":
                goodbye = message[2][0];
                break;
            case 2:
                Notified?.Invoke((string)message[1], (JArray)message[2]);
                break;
        }
    }
}
