// Where each node of the topology stands: columns where there is room, an indented tree where there is little.

const GAP = 44; // px between columns
const NODE = 42; // px, the height of a node with two lines
const LEAF = 22; // px, the height of a name
const SPACE = 8; // px between nodes
const BLOCK = 18; // px between clusters
const INDENT = 18; // px
const ROOM = 720; // px from which columns are used
const GATEWAYS = 6; // drawn one by one for each cluster
const NAMES = 5;

/**
 * Nodes and edges of the topology in `width` px: {nodes, edges, titles, height}. A node has kind, x, y, width, height
 * and what it stands for; an edge is a pair of nodes, in the tree with `elbow`.
 */
export function laidOut(overview, names, width) {
  const groups = grouped(overview, names);
  return width >= ROOM ? columns(groups, width) : tree(groups, width);
}

/** Networks with their clusters, those with their gateways and names; what is our own comes first. */
function grouped(overview, names) {
  const networks = new Map();
  const clusters = [...overview.clusters].sort((a, b) => b.own - a.own || a.name.localeCompare(b.name));
  for (const cluster of clusters) {
    if (!networks.has(cluster.network)) networks.set(cluster.network, []);
    networks.get(cluster.network).push(member(cluster, overview, names));
  }
  return [...networks].map(([name, members]) => ({
    network: { name, own: name !== "" && name === overview.network, clusters: members.length },
    members,
  }));
}

function member(cluster, overview, names) {
  const gateways = overview.gateways.filter((gateway) => gateway.cluster === cluster.name);
  const alarms = overview.problems.filter((each) => each.cluster === cluster.name && !each.normal);
  const bundles = overview.names
    .filter((each) => each.cluster === cluster.name)
    .map((each) => {
      const own = names.filter((name) => name.clusters.includes(cluster.name) && within(name.name, each.zone));
      return { ...each, names: own.slice(0, NAMES), more: Math.max(each.count - Math.min(own.length, NAMES), 0) };
    });
  return {
    cluster,
    problems: alarms.reduce((sum, each) => sum + each.count, 0),
    gateways: gateways.length > GATEWAYS ? gateways.slice(0, GATEWAYS - 1) : gateways,
    folded: gateways.length > GATEWAYS ? gateways.slice(GATEWAYS - 1) : [],
    bundles,
  };
}

function within(name, zone) {
  return name === zone || name.endsWith(`.${zone}`) || zone === "";
}

function columns(groups, width) {
  const each = (width - 3 * GAP) / 4;
  const x = (column) => column * (each + GAP);
  const nodes = [];
  const edges = [];
  let y = 26;
  const put = (column, top, height, node) => {
    const placed = { ...node, x: x(column), y: top, width: each, height };
    nodes.push(placed);
    return placed;
  };
  for (const { network, members } of groups) {
    const middle = put(1, y, NODE, { kind: "network", network });
    for (const one of members) {
      edges.push([put(0, y, NODE, { kind: "cluster", ...one }), middle]);
      const direct = network.own && one.bundles.length; // no gateway stands between: the line to the names passes above
      let lower = y + (direct ? NODE + SPACE : 0);
      const through = gatewayNodes(one).map((node) => {
        const placed = put(2, lower, NODE, node);
        lower += NODE + SPACE;
        edges.push([middle, placed]);
        return placed;
      });
      let under = y;
      for (const bundle of one.bundles) {
        const placed = put(3, under, NODE, { kind: "bundle", bundle });
        edges.push(...(through.length && !direct ? through : [middle]).map((from) => [from, placed]));
        under += NODE + 2;
        for (const node of leaves(bundle)) {
          put(3, under, LEAF, node);
          under += LEAF;
        }
        under += SPACE;
      }
      y = Math.max(y + NODE + SPACE, lower, under) + BLOCK - SPACE;
    }
  }
  const titles = ["Clusters", "Networks", "Gateways", "Names"].map((text, at) => ({ text, x: x(at) }));
  return { nodes, edges, titles, height: y };
}

function tree(groups, width) {
  const nodes = [];
  const edges = [];
  let y = 2;
  const put = (depth, height, node, parent) => {
    const placed = { ...node, x: depth * INDENT, y, width: width - depth * INDENT, height };
    y += height + (height === LEAF ? 0 : SPACE);
    nodes.push(placed);
    if (parent) edges.push([parent, placed]);
    return placed;
  };
  for (const { network, members } of groups) {
    for (const one of members) {
      const top = put(0, NODE, { kind: "cluster", ...one });
      const middle = put(1, NODE, { kind: "network", network }, top);
      for (const node of gatewayNodes(one)) put(2, NODE, node, middle);
      for (const bundle of one.bundles) {
        const placed = put(2, NODE, { kind: "bundle", bundle }, middle);
        for (const node of leaves(bundle)) put(3, LEAF, node, placed);
      }
      y += BLOCK;
    }
  }
  return { nodes, edges: edges.filter(([, to]) => to.height !== LEAF), titles: [], height: y, elbow: true };
}

/** Some names of a bundle, and what leads to the others. */
function leaves(bundle) {
  const nodes = bundle.names.map((name) => ({ kind: "name", name }));
  return nodes.length && bundle.more ? [...nodes, { kind: "more", bundle }] : nodes;
}

function gatewayNodes(one) {
  const nodes = one.gateways.map((gateway) => ({ kind: "gateway", gateway }));
  return one.folded.length ? [...nodes, { kind: "folded", gateways: one.folded }] : nodes;
}
