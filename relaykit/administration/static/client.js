// The dashboard of a client.

import { show } from "./shell.js";
import { Edit } from "./client/edit.js";
import { File } from "./client/file.js";
import { Log } from "./log.js";
import { Overview } from "./client/overview.js";
import { Entry } from "./client/entry.js";
import { Entries } from "./client/entries.js";

show("client", [
  { path: "", title: "Overview", show: Overview },
  { path: "proxies", title: "Proxies", show: Entries },
  { path: "entry", title: "Entry", show: Entry, under: "proxies" },
  { path: "edit", title: "Edit", show: Edit, under: "proxies" },
  { path: "file", title: "File", show: File },
  { path: "log", title: "Log", show: Log },
]);
