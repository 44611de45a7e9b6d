// Who speaks, in metrics and traces alike.

import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';

/** This service, with what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say on top. */
export function serverResource(version: string): Resource {
  return defaultResource()
    .merge(resourceFromAttributes({ 'service.name': 'scorewire', 'service.version': version }))
    .merge(detectResources({ detectors: [envDetector] }));
}
