package cli

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

type sendCmd struct {
	address
	Text         string `arg:"" optional:"" help:"The message's text."`
	Conversation string `short:"c" default:"trying" help:"The conversation's id; it is made if it is not known."`
	Contact      string `placeholder:"NAME" help:"The contact's name."`
	Kind         string `short:"k" default:"text" help:"text, image, emoji, sticker, video; any other is shown as a file."`
	Thumbnail    string `placeholder:"URL" help:"https URL of a picture's thumbnail."`
	Agent        string `placeholder:"ID" help:"Assign the conversation to this agent."`
	Team         string `placeholder:"ID" help:"Assign the conversation to this team."`
	Nobody       bool   `help:"Take the assignment away."`
	ID           string `help:"The message's id; default a new one."`
	JSON         bool   `help:"Print the answer's JSON."`
}

func (sendCmd) Help() string {
	return `Prints the message's id, which trace takes. Without --agent, --team and --nobody the assignment stays as it is.

Examples:
  caac-hub send "Is my order on its way?" --agent mei
  caac-hub send --kind image --conversation c-17 --team support
  CAAC_API_KEY_FILE=key caac-hub send "hello" --url https://hub.example.com`
}

func (s *sendCmd) Run(ctx context.Context, w *world) error {
	if s.Nobody && (s.Agent != "" || s.Team != "") {
		return usage("--nobody goes with neither --agent nor --team")
	}
	c, err := s.client(w)
	if err != nil {
		return err
	}
	in := hub.MessageInput{
		ID:           s.ID,
		Conversation: hub.ConversationInput{ID: s.Conversation, Contact: s.Contact},
		Kind:         notify.Kind(s.Kind),
		Text:         s.Text,
		Thumbnail:    s.Thumbnail,
	}
	if in.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		in.ID = id.String()
	}
	if s.Nobody || s.Agent != "" || s.Team != "" {
		in.Conversation.Assignment = &hub.AssignmentInput{Agent: s.Agent, Team: s.Team}
	}
	b, err := c.ask(ctx, http.MethodPost, "/v1/messages", in)
	if err != nil {
		return err
	}
	var out hub.MessageAnswer
	if err := json.Unmarshal(b, &out); err != nil {
		return err
	}
	if s.JSON {
		return w.printJSON(out)
	}
	w.printf("%s\n", out.Message)
	return nil
}
