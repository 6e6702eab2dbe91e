// Creates a project, uploads a source package and follows its build, with the types that openapi-typescript has made.
//
// Arguments: the farm's address, login and token, the source package.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import createClient from "openapi-fetch";
import type { components, paths } from "./farm.ts";

const [address = "", login, token, source = ""] = process.argv.slice(2);
const chroot = "microdistro-1-x86_64";
const farm = createClient<paths>({
  baseUrl: address,
  headers: { authorization: `Basic ${Buffer.from(`${login}:${token}`).toString("base64")}` },
});

/** The data of an answer that has to be a good one. */
function good<T>(answer: { data?: T; error?: components["schemas"]["Error"] }): T {
  if (answer.data === undefined) throw new Error(answer.error?.error ?? "no answer");
  return answer.data;
}

function check(holds: boolean, what: unknown): void {
  if (!holds) throw new Error(JSON.stringify(what));
}

const project = good(
  await farm.POST("/api_3/project/add/{ownername}", {
    params: { path: { ownername: "alice" } },
    body: { name: "typescript", chroots: [chroot], bootstrap: "default" },
  }),
);
check(project.full_name === "alice/typescript", project);
const refused = await farm.GET("/api_3/project", { params: { query: { ownername: "alice", projectname: "none" } } });
check(refused.error?.error === "Project alice/none does not exist.", refused.error);

const file = new File([await readFile(source)], basename(source), { type: "application/x-rpm" });
let build = good(
  await farm.POST("/api_3/build/create/upload", {
    // The document's type of a file is the text of its bytes; a browser's and Node's is an object.
    body: { json: { ownername: "alice", projectname: "typescript" }, pkgs: file as unknown as string },
    bodySerializer(body) {
      const form = new FormData();
      form.append("json", new Blob([JSON.stringify(body.json)], { type: "application/json" }));
      form.append("pkgs", body.pkgs as unknown as File);
      return form;
    },
  }),
);
const deadline = Date.now() + 120_000;
while (!["succeeded", "failed", "canceled", "skipped"].includes(build.state)) {
  check(Date.now() < deadline, build);
  await new Promise((resolve) => setTimeout(resolve, 100));
  build = good(await farm.GET("/api_3/build/{build_id}", { params: { path: { build_id: build.id } } }));
}
check(build.state === "succeeded" && build.source_package.name === "hello", build);

const attempts = good(await farm.GET("/api/builds/{build_id}/attempts", { params: { path: { build_id: build.id } } }));
const log = good(
  await farm.GET("/api/attempts/{attempt_id}/log", {
    params: { path: { attempt_id: attempts[0]?.id ?? "" }, query: { limit: 7 } },
  }),
);
check(log.text === "it says" && log.complete, log);
const query = { ownername: "alice", projectname: "typescript" };
const builds = good(
  await farm.GET("/api_3/build/list", { params: { query: { ...query, status: "succeeded", order_type: "ASC", limit: 5 } } }),
);
check(builds.items.length === 1 && builds.meta.limit === 5, builds);
const monitor = good(
  await farm.GET("/api_3/monitor", { params: { query: { ...query, "additional_fields[]": ["url_build"] } } }),
);
check(monitor.packages[0]?.chroots[chroot]?.url_build?.endsWith(`/coprs/build/${build.id}`) === true, monitor);
console.log("followed", build.id);
