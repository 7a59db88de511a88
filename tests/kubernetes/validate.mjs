// Prints what the schemas have against the objects on standard input, a JSON array.
import * as core from "kubernetes-models/v1";
import * as v1 from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import * as alpha from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1alpha1";
import * as gateway from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1";
import { readFileSync } from "node:fs";

const groups = {
  v1: core,
  "gateway.networking.k8s.io/v1": gateway,
  "monitoring.coreos.com/v1": v1,
  "monitoring.coreos.com/v1alpha1": alpha,
};

for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    new groups[object.apiVersion][object.kind](object).validate();
  } catch (error) {
    console.log(`${object.kind}: ${error.message}`);
  }
}
