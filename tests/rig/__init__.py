"""Real programs for tests: etcd, kube-apiserver with Istio's CRDs, CoreDNS, name servers, dig.

One module per program; each is a context manager that starts it on free loopback ports, waits until it answers, keeps
its log in a folder of its own and leaves nothing behind.

- `build` and `packages` say where a program comes from; they need nothing but the standard library, because the
  set-up runs them.
- Does not belong here: anything that knows meshdns, and what plays the part of a program instead of running it.
"""
