// One stream of answers for as long as the page is open.
//
// Gradio's page (6.31) reads the answers to what it asks from /queue/data. The server ends that
// stream when nothing is asked for any more; the page opens another with its next question, unless
// it still takes the old one for open. Asked at that very moment, a question was never answered.
// Here the page is given a stream that does not end; the server's is opened again behind it
// whenever it has ended and answers are awaited.
(() => {
  "use strict";
  const studio = (window.DrawStudio = window.DrawStudio || {});

  studio.lastingStream = (plain) => {
    const awaited = new Set();
    let asked = () => {};

    const join = async (input, init) => {
      const response = await plain(input, init);
      if (response.ok) {
        awaited.add((await response.clone().json()).event_id);
        asked();
      }
      return response;
    };

    // What the server says until it ends its stream, without its word that it does.
    const copy = async (body, send) => {
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        const messages = (rest + value).split("\n\n");
        rest = messages.pop();
        for (const message of messages) {
          const told = JSON.parse(message.replace(/^data: /, ""));
          if (told.msg === "process_completed") awaited.delete(told.event_id);
          if (told.msg !== "close_stream") send(`${message}\n\n`);
        }
      }
    };

    const listen = async (input, init) => {
      const request = new Request(input, init);
      const first = await plain(request.clone());
      if (!first.ok) return first;
      const encoder = new TextEncoder();
      const start = async (page) => {
        request.signal.addEventListener("abort", () => asked());
        try {
          for (let server = first; ; server = await plain(request.clone())) {
            if (!server.ok) throw new Error(`the server answered ${server.status}`);
            await copy(server.body, (text) => page.enqueue(encoder.encode(text)));
            while (awaited.size === 0) {
              await new Promise((resolve) => (asked = resolve));
              request.signal.throwIfAborted();
            }
          }
        } catch (error) {
          awaited.clear();
          page.error(error);
        }
      };
      // `start` is not waited for: a stream gives nothing before its start has ended.
      return new Response(new ReadableStream({ start: (page) => void start(page) }), first);
    };

    return (input, init) => {
      const path = new URL(input instanceof Request ? input.url : input, document.baseURI).pathname;
      if (path.endsWith("/queue/join")) return join(input, init);
      if (path.endsWith("/queue/data")) return listen(input, init);
      return plain(input, init);
    };
  };

  window.fetch = studio.lastingStream(window.fetch.bind(window));
})();
