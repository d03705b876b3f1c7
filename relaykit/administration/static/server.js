// The dashboard of a relay server.

import { show } from "./shell.js";
import { Clients } from "./server/clients.js";
import { Log } from "./log.js";
import { Overview } from "./server/overview.js";
import { Proxies } from "./server/proxies.js";
import { Refusals } from "./server/refusals.js";

show("server", [
  { path: "", title: "Overview", show: Overview },
  { path: "proxies", title: "Proxies", show: Proxies },
  { path: "clients", title: "Clients", show: Clients },
  { path: "refusals", title: "Refused", show: Refusals },
  { path: "log", title: "Log", show: Log },
]);
