// Shared by every tab of the browser: HTTP/1.1 gives six connections to a host, and a stream in each tab would use them up.
import { openStream, type Message } from "./stream";

const ports = new Set<MessagePort>();
let close: (() => void) | undefined;
let last: Message | undefined;

function tell(message: Message): void {
  if (message.kind === "state") last = message;
  for (const port of ports) port.postMessage(message);
}

const scope = self as unknown as { onconnect: (event: MessageEvent) => void };
scope.onconnect = (connection) => {
  const port = connection.ports[0] as MessagePort;
  port.onmessage = (event: MessageEvent<{ kind: string; stream?: string }>) => {
    if (event.data.kind === "open") {
      ports.add(port);
      if (last) port.postMessage(last);
      close ??= openStream(event.data.stream ?? "/live", tell);
    } else {
      ports.delete(port);
      if (ports.size === 0) {
        close?.();
        close = undefined;
        last = undefined;
      }
    }
  };
  port.start();
};
