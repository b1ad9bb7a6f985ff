// Package markdown reads the documents of this repository, so that tests can hold what
// they say against the code. Only tests use it.
package markdown

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Document is what a Markdown file holds, in the order in which it stands there.
type Document struct {
	Path    string
	Anchors map[string]bool // of its headings, as GitHub makes them
	Links   []string        // destinations of links and images, as written
	Spans   []string        // inline code
	Blocks  []Block
	Tables  []Table
}

// Block is a code block.
type Block struct {
	Language string // what follows the opening fence; often empty
	Section  string // the heading above it
	Text     string
}

// Table is a table with its header.
type Table struct {
	Section string // the heading above it
	Head    []string
	Rows    [][]string
}

// Read reads a Markdown file.
func Read(path string) (Document, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return Document{}, err
	}
	d := Document{Path: path, Anchors: map[string]bool{}}
	section := ""
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	err = ast.Walk(root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.Heading:
			section = plain(n, source)
			d.addAnchor(section)
		case *ast.Link:
			d.Links = append(d.Links, string(n.Destination))
		case *ast.Image:
			d.Links = append(d.Links, string(n.Destination))
		case *ast.CodeSpan:
			d.Spans = append(d.Spans, plain(n, source))
		case *ast.FencedCodeBlock:
			d.Blocks = append(d.Blocks, Block{string(n.Language(source)), section, lines(n, source)})
		case *ast.CodeBlock:
			d.Blocks = append(d.Blocks, Block{"", section, lines(n, source)})
		case *east.Table:
			table := Table{Section: section}
			for row := n.FirstChild(); row != nil; row = row.NextSibling() {
				var cells []string
				for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
					cells = append(cells, plain(cell, source))
				}
				if row.Kind() == east.KindTableHeader {
					table.Head = cells
				} else {
					table.Rows = append(table.Rows, cells)
				}
			}
			d.Tables = append(d.Tables, table)
		}
		return ast.WalkContinue, nil
	})
	return d, err
}

// Rows returns the rows of the table below a heading that has this header. It fails if
// there is none.
func (d Document) Rows(section string, head ...string) ([][]string, error) {
	for _, t := range d.Tables {
		if t.Section == section && slices.Equal(t.Head, head) {
			return t.Rows, nil
		}
	}
	return nil, fmt.Errorf("%s has no table below %q with the header %q", d.Path, section, head)
}

// addAnchor adds a heading by GitHub's rule: lower case, no punctuation but dashes and
// underscores, a dash for each space, and a number for the second of the same name.
func (d *Document) addAnchor(heading string) {
	base := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
	anchor := base
	for n := 1; d.Anchors[anchor]; n++ {
		anchor = fmt.Sprintf("%s-%d", base, n)
	}
	d.Anchors[anchor] = true
}

func lines(n ast.Node, source []byte) string {
	var b strings.Builder
	for i := range n.Lines().Len() {
		line := n.Lines().At(i)
		b.Write(line.Value(source))
	}
	return b.String()
}

// plain is the text below a node, without its marks.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch t := node.(type) {
		case *ast.Text:
			if _, code := t.Parent().(*ast.CodeSpan); code {
				b.Write(t.Value(source))
			} else {
				b.Write(util.UnescapePunctuations(t.Value(source)))
			}
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(t.Value)
		case *ast.AutoLink:
			b.Write(t.Label(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}
